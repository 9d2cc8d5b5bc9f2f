"""Calls with stored tokens: a rejected token is marked as invalid once."""

from __future__ import annotations

import pytest

from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces import client as client
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from tests.installations.conftest import HOUR, Tokens
from tests.installations.fake_slack import FakeSlack, refreshed, refused
from tests.installations.installing import an_organization_installation

ACCESS = "oauth.v2.access"
LIST = "conversations.list"
INFO = "users.info"
PLACE = BotWorkspace(None, "T1", is_enterprise_install=False)
DEAD = ["invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_authed"]


def test_the_bot_calls_with_the_bots_token(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install()
    slack.answers(INFO, {"ok": True, "user": {"id": "U1"}})

    answer = tokens.client.as_bot(PLACE, INFO, user="U1")

    assert answer["user"] == {"id": "U1"}
    assert [(call.token, call.arguments["user"]) for call in slack.requests] == [("xoxb-1", "U1")]


def test_a_person_calls_with_their_own_token(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install("U1")
    tokens.install("U2")
    slack.answers(INFO, {"ok": True})

    tokens.client.as_user(tokens.stored("U2"), INFO)

    assert [call.token for call in slack.requests] == ["xoxp-U2"]


def test_the_bot_reads_the_profile_of_a_person_without_a_token(
    tokens: Tokens, slack: FakeSlack
) -> None:
    tokens.install("U1", user_token=None)
    slack.answers(INFO, {"ok": True})

    tokens.client.as_user(tokens.stored("U1"), INFO)

    assert [call.token for call in slack.requests] == ["xoxb-1"]


def test_an_organizations_bot_serves_a_workspace(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.store.save(an_organization_installation(bot_token="xoxb-org"))
    slack.answers(INFO, {"ok": True})

    tokens.client.as_bot(BotWorkspace("E1", "T7", is_enterprise_install=True), INFO)

    assert [call.token for call in slack.requests] == ["xoxb-org"]


def test_where_there_is_no_bot_there_is_no_call(tokens: Tokens, slack: FakeSlack) -> None:
    with pytest.raises(NotInstalledError, match="T1"):
        tokens.client.as_bot(PLACE, INFO)
    with pytest.raises(NotInstalledError, match="T1"):
        tokens.client.find_workspace("T1")

    tokens.install("U1", bot_token=None)
    with pytest.raises(NotInstalledError, match="T1"):
        tokens.client.as_bot(PLACE, INFO)
    assert slack.requests == []


def test_a_place_is_found_by_its_team(tokens: Tokens) -> None:
    tokens.install()

    assert tokens.client.find_workspace("T1") == PLACE


@pytest.mark.parametrize("code", DEAD)
def test_an_invalid_bot_token_is_marked_once(tokens: Tokens, slack: FakeSlack, code: str) -> None:
    tokens.install()
    slack.answers(INFO, refused(code))

    for _ in range(2):
        with pytest.raises(SlackCallError) as caught:
            tokens.client.as_bot(PLACE, INFO)
        assert caught.value.code == code

    assert len(slack.requests) == 1
    assert tokens.grant().bot_invalid_reason == code
    assert tokens.grant().user_invalid_reason is None


@pytest.mark.parametrize("code", DEAD)
def test_an_invalid_user_token_is_marked_once(tokens: Tokens, slack: FakeSlack, code: str) -> None:
    tokens.install()
    slack.answers(INFO, refused(code))

    for _ in range(2):
        with pytest.raises(SlackCallError) as caught:
            tokens.client.as_user(tokens.stored(), INFO)
        assert caught.value.code == code

    assert len(slack.requests) == 1
    assert tokens.grant().user_invalid_reason == code
    assert tokens.grant().bot_invalid_reason is None


@pytest.mark.parametrize("code", ["internal_error", "user_not_found", "missing_scope"])
def test_another_refusal_leaves_the_token_alive(
    tokens: Tokens, slack: FakeSlack, code: str
) -> None:
    tokens.install()
    slack.answers(INFO, refused(code))

    with pytest.raises(SlackCallError):
        tokens.client.as_bot(PLACE, INFO)
    with pytest.raises(SlackCallError):
        tokens.client.as_user(tokens.stored(), INFO)

    assert tokens.grant().bot_invalid_reason is None
    assert tokens.grant().user_invalid_reason is None


def test_a_reinstall_while_slack_refuses_stays_alive(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install()

    def reinstall_then_refuse() -> dict[str, object]:
        tokens.install(bot_token="xoxb-2")
        return refused("token_revoked")

    slack.answers(INFO, reinstall_then_refuse)
    with pytest.raises(SlackCallError):
        tokens.client.as_bot(PLACE, INFO)

    assert tokens.grant().bot_token == "xoxb-2"
    assert tokens.grant().bot_invalid_reason is None


def test_an_expired_token_is_refreshed_before_it_is_used(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install(lives=-1)
    slack.answers(ACCESS, refreshed(2))
    slack.answers(INFO, {"ok": True})

    tokens.client.as_bot(PLACE, INFO)

    assert [call.token for call in slack.calls(INFO)] == ["xoxe.xoxb-1-2"]


def test_one_that_turns_out_expired_is_refreshed_and_the_call_made_again(
    tokens: Tokens, slack: FakeSlack
) -> None:
    tokens.install(lives=8 * HOUR)
    slack.answers(ACCESS, refreshed(2))
    slack.answers(INFO, refused("token_expired"), {"ok": True})

    tokens.client.as_bot(PLACE, INFO)

    assert [call.token for call in slack.calls(INFO)] == ["xoxb-1", "xoxe.xoxb-1-2"]


def test_pages_are_read_to_the_last(tokens: Tokens, slack: FakeSlack) -> None:
    tokens.install()
    first = {"ok": True, "channels": [{"id": "C1"}], "response_metadata": {"next_cursor": "next"}}
    slack.answers(LIST, first, {"ok": True, "channels": [{"id": "C2"}]})

    found = list(tokens.client.pages_as_bot(PLACE, LIST, "channels"))

    assert [item["id"] for item in found] == ["C1", "C2"]
    assert [call.arguments.get("cursor") for call in slack.calls(LIST)] == [None, "next"]


def test_pages_without_end_are_an_error(
    tokens: Tokens, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_PAGES", 3)
    tokens.install()
    again = {"ok": True, "channels": [], "response_metadata": {"next_cursor": "again"}}
    slack.answers(LIST, again)

    with pytest.raises(SlackCallError, match="too_many_pages"):
        list(tokens.client.pages_as_bot(PLACE, LIST, "channels"))

    assert len(slack.calls(LIST)) == 3
