"""Public channels: found by name or id, listed with paging, joined."""

from __future__ import annotations

import pytest

from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import looks_like_channel_id
from bolt_app.workspaces.client import BotPlace, NotInstalledError
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, BETA, GENERAL, NORTH, WES
from tests.running import Bellhop


@pytest.fixture
def place(bellhop: Bellhop) -> BotPlace:
    bellhop.install(ANN)
    return bellhop.services.calls.find_place(ACME)


def names(bellhop: Bellhop, place: BotPlace, query: str = "") -> list[str]:
    return [one.name for one in bellhop.services.channels.search(place, query)]


@pytest.mark.parametrize("written", ["#general", "general", " #General ", GENERAL])
def test_a_channel_is_found_as_people_write_it(
    bellhop: Bellhop, place: BotPlace, written: str
) -> None:
    assert bellhop.services.channels.find(place, written) == GENERAL


def test_an_unknown_name_is_nothing(bellhop: Bellhop, place: BotPlace) -> None:
    assert bellhop.services.channels.find(place, "#nowhere") is None


def test_a_private_channel_is_found_by_its_id_alone(bellhop: Bellhop, place: BotPlace) -> None:
    private = bellhop.slack.add_channel(ACME, "secret", members=[ANN], is_private=True)

    assert bellhop.services.channels.find(place, private.id) == private.id
    assert bellhop.services.channels.find(place, "#secret") is None
    assert "secret" not in names(bellhop, place)


def test_a_channel_made_a_moment_ago_is_found(bellhop: Bellhop, place: BotPlace) -> None:
    names(bellhop, place)
    fresh = bellhop.slack.add_channel(ACME, "fresh")

    assert bellhop.services.channels.find(place, "#fresh") == fresh.id


def test_names_that_senders_invent_fetch_the_list_seldom(bellhop: Bellhop, place: BotPlace) -> None:
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

    # None is given up before a list was fetched after it was sent.
    assert sorted(states(bellhop, *later)) == ["dead"] * 9 + ["sent"]
    assert [one.text for one in bellhop.slack.messages(fresh.id)][-1:] == ["x"]
    assert len(bellhop.slack.calls_to("conversations.list")) == calls + 1


def test_every_page_of_the_list_is_read(bellhop: Bellhop, place: BotPlace) -> None:
    bellhop.slack.add_channels(ACME, 2300)

    assert bellhop.services.channels.find(place, "#channel-2300") is not None
    assert len(bellhop.slack.calls_to("conversations.list")) == 3


def test_a_list_that_breaks_off_changes_nothing(bellhop: Bellhop, place: BotPlace) -> None:
    bellhop.slack.add_channels(ACME, 1200)
    before = names(bellhop, place)
    bellhop.slack.add_channel(ACME, "zzz")
    bellhop.clock.advance(301)
    bellhop.slack.faults.add(Fault("conversations.list", "server_error"))

    with pytest.raises(SlackCallError):
        bellhop.services.channels.search(place)
    bellhop.slack.faults.clear()
    bellhop.slack.faults.add(Fault("conversations.list", "rate_limited"))
    with pytest.raises(SlackCallError) as raised:
        bellhop.services.channels.search(place)
    assert raised.value.retry_after == 30
    bellhop.slack.faults.clear()
    bellhop.clock.advance(30)
    assert names(bellhop, place)[:5] == before[:5]


def test_archived_channels_are_left_out(bellhop: Bellhop, place: BotPlace) -> None:
    random = bellhop.services.channels.find(place, "#random")
    assert random is not None
    bellhop.slack.archive_channel(random)
    bellhop.clock.advance(301)

    assert "random" not in names(bellhop, place)


def test_the_best_match_comes_first(bellhop: Bellhop, place: BotPlace) -> None:
    bellhop.slack.add_channel(ACME, "not-general")

    assert names(bellhop, place, "#GENERAL") == ["general", "not-general"]


@pytest.mark.parametrize("query", ["%", "_", "\\", "'"])
def test_what_means_something_in_sql_means_itself(
    bellhop: Bellhop, place: BotPlace, query: str
) -> None:
    bellhop.slack.add_channel(ACME, "under_score")

    assert names(bellhop, place, query) == (["under_score"] if query == "_" else [])


def test_one_workspaces_channels_are_not_anothers(bellhop: Bellhop, place: BotPlace) -> None:
    elsewhere = bellhop.slack.add_channel(BETA, "only-beta")

    assert bellhop.services.channels.find(place, "#only-beta") is None
    assert elsewhere.name not in names(bellhop, place)


def test_an_organisations_installation_lists_the_workspace_that_is_asked_for(
    bellhop: Bellhop,
) -> None:
    browser = bellhop.browser()
    to_slack = browser.get("/slack/install")
    browser.get(bellhop.slack.authorize(WES, to_slack.location, whole_organisation=True))
    bellhop.slack.add_channel(NORTH, "north-wind")

    place = bellhop.services.calls.find_place(NORTH)

    assert place.is_enterprise_install
    assert "north-wind" in names(bellhop, place)


def test_without_an_installation_there_is_nothing_to_list(bellhop: Bellhop) -> None:
    with pytest.raises(NotInstalledError, match=f"{ACME}: open its home page and click Add"):
        bellhop.services.calls.find_place(ACME)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [("C0ACME0001", True), ("D012345678", True), ("general", False), ("CAFE", False), ("", False)],
)
def test_ids_are_told_from_names(text: str, is_id: bool) -> None:
    assert looks_like_channel_id(text) is is_id
