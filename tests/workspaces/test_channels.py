"""Public channels: search, paginated listing and joining."""

from __future__ import annotations

import pytest

from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import looks_like_channel_id
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, BETA, GENERAL, NORTH, WES
from tests.running import Bellhop


@pytest.fixture
def workspace(bellhop: Bellhop) -> BotWorkspace:
    bellhop.install(ANN)
    return bellhop.services.client.find_workspace(ACME)


def names(bellhop: Bellhop, workspace: BotWorkspace, query: str = "") -> list[str]:
    return [item.name for item in bellhop.services.channels.search(workspace, query)]


@pytest.mark.parametrize("written", ["#general", "general", " #General ", GENERAL])
def test_a_channel_is_found_as_people_write_it(
    bellhop: Bellhop, workspace: BotWorkspace, written: str
) -> None:
    assert bellhop.services.channels.find(workspace, written) == GENERAL


def test_an_unknown_name_is_nothing(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    assert bellhop.services.channels.find(workspace, "#nowhere") is None


def test_a_private_channel_is_found_by_its_id_alone(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    private = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)

    assert bellhop.services.channels.find(workspace, private.id) == private.id
    assert bellhop.services.channels.find(workspace, "#secret") is None
    assert "secret" not in names(bellhop, workspace)


def test_a_channel_made_a_moment_ago_is_found(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    names(bellhop, workspace)
    fresh = bellhop.slack.add_channel(ACME, "fresh")

    assert bellhop.services.channels.find(workspace, "#fresh") == fresh.id


def test_names_that_senders_invent_fetch_the_list_seldom(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    ids = [accept(bellhop, f"#invented-{number}", "x") for number in range(5)]
    hand = Hand(bellhop)
    hand.deliver()
    assert states(bellhop, *ids) == ["dead"] * 5
    calls = len(bellhop.slack.calls_to("conversations.list"))

    later = []
    for number in range(10):
        bellhop.clock.advance(1)
        later.append(accept(bellhop, f"#later-{number}", "x"))
        hand.deliver()
    assert len(bellhop.slack.calls_to("conversations.list")) == calls
    fresh = bellhop.slack.add_channel(ACME, "later-3")
    bellhop.clock.advance(51)
    hand.deliver()

    # A name is not given up before a listing later than its notification.
    assert sorted(states(bellhop, *later)) == ["dead"] * 9 + ["sent"]
    assert [message.text for message in bellhop.slack.messages(fresh.id)][-1:] == ["x"]
    assert len(bellhop.slack.calls_to("conversations.list")) == calls + 1


def test_every_page_of_the_list_is_read(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    bellhop.slack.add_channels(ACME, 2300)

    assert bellhop.services.channels.find(workspace, "#channel-2300") is not None
    assert len(bellhop.slack.calls_to("conversations.list")) == 3


def test_a_list_that_breaks_off_changes_nothing(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    bellhop.slack.add_channels(ACME, 1200)
    before = names(bellhop, workspace)
    bellhop.slack.add_channel(ACME, "zzz")
    bellhop.clock.advance(301)
    bellhop.slack.faults.add(Fault("conversations.list", "server_error"))

    with pytest.raises(SlackCallError):
        bellhop.services.channels.search(workspace)
    bellhop.slack.faults.clear()
    bellhop.clock.advance(60)
    bellhop.slack.faults.add(Fault("conversations.list", "rate_limited"))
    with pytest.raises(SlackCallError) as raised:
        bellhop.services.channels.search(workspace)
    assert raised.value.retry_after == 30
    bellhop.slack.faults.clear()
    bellhop.clock.advance(30 + 60)
    assert names(bellhop, workspace)[:5] == before[:5]


def test_archived_channels_are_left_out(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    random = bellhop.services.channels.find(workspace, "#random")
    assert random is not None
    bellhop.slack.archive_channel(random)
    bellhop.clock.advance(301)

    assert "random" not in names(bellhop, workspace)


def test_the_best_match_comes_first(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    bellhop.slack.add_channel(ACME, "not-general")

    assert names(bellhop, workspace, "#GENERAL") == ["general", "not-general"]


@pytest.mark.parametrize("query", ["%", "_", "\\", "'"])
def test_sql_wildcards_are_literal(bellhop: Bellhop, workspace: BotWorkspace, query: str) -> None:
    bellhop.slack.add_channel(ACME, "under_score")

    assert names(bellhop, workspace, query) == (["under_score"] if query == "_" else [])


def test_one_workspaces_channels_are_not_anothers(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    elsewhere = bellhop.slack.add_channel(BETA, "only-beta")

    assert bellhop.services.channels.find(workspace, "#only-beta") is None
    assert elsewhere.name not in names(bellhop, workspace)


def test_an_organizations_installation_lists_the_workspace_that_is_asked_for(
    bellhop: Bellhop,
) -> None:
    bellhop.install(WES, whole_organization=True)
    bellhop.slack.add_channel(NORTH, "north-wind")

    workspace = bellhop.services.client.find_workspace(NORTH)

    assert workspace.is_enterprise_install
    assert "north-wind" in names(bellhop, workspace)


def test_without_an_installation_there_is_nothing_to_list(bellhop: Bellhop) -> None:
    with pytest.raises(NotInstalledError, match=f"{ACME}: open its home page and click Add"):
        bellhop.services.client.find_workspace(ACME)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [("C0ACME0001", True), ("D012345678", True), ("general", False), ("CAFE", False), ("", False)],
)
def test_ids_are_distinguished_from_names(text: str, is_id: bool) -> None:
    assert looks_like_channel_id(text) is is_id
