"""`users.conversations` of the Slack-compatible Web API: the channels with the bot in them."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient

from bolt_app.credentials.api_keys import Scope
from tests.people import ANN, BEN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import MethodCaller, method_caller
from tests.web.methods.test_messages import bot_tokens

pytestmark = pytest.mark.sqlite_only

JOINED = "users.conversations"
RANDOM, LEADS = "C0ACME0002", "C0ACME0006"
BOTH = "private_channel,public_channel"


@pytest.fixture
def reader(bellhop: Bellhop) -> MethodCaller:
    """A program that reads, in a workspace whose bot is in #general and a private channel."""
    bellhop.install(ANN)
    bellhop.slack.invite_bot(ANN, GENERAL)
    bellhop.slack.invite_bot(ANN, LEADS)
    return method_caller(bellhop, Scope.READ)


def ids(answer: dict[str, Any]) -> list[str]:
    return [channel["id"] for channel in answer["channels"]]


def test_the_call_of_slack_go(bellhop: Bellhop, reader: MethodCaller) -> None:
    """GoAlert and other programs with this client send the token in a form."""
    bellhop.slack.archive_channel(LEADS)
    given = {"limit": "200", "types": BOTH, "token": reader.key}
    nobody = MethodCaller(bellhop.url, "")

    answer = nobody.form(JOINED, **given, exclude_archived="true")

    assert (answer["ok"], ids(answer)) == (True, [GENERAL])
    assert answer["response_metadata"] == {"next_cursor": ""}
    assert ids(nobody.form(JOINED, **given)) == [GENERAL, LEADS]


def test_channels_look_as_in_slack(bellhop: Bellhop, reader: MethodCaller) -> None:
    [token] = bot_tokens(bellhop)
    bot = WebClient(token=token.value, base_url=f"{bellhop.slack_url}/api/")
    in_slack = bot.users_conversations(types=BOTH)["channels"]

    shown = reader.ok(JOINED, types=BOTH)["channels"]

    names = ("id", "name", "is_private", "is_archived")
    facts = [[tuple(one[name] for name in names) for one in found] for found in (shown, in_slack)]
    assert facts[0] == sorted(facts[1])
    assert shown[0].keys() <= in_slack[0].keys()


def test_types_are_filtered(reader: MethodCaller) -> None:
    assert ids(reader.ok(JOINED)) == [GENERAL]
    assert ids(reader.ok(JOINED, types="private_channel")) == [LEADS]
    assert ids(reader.ok(JOINED, types="im")) == []
    assert reader.error(JOINED, types="secret") == "invalid_types"


def test_pages(reader: MethodCaller) -> None:
    first = reader.ok(JOINED, types=BOTH, limit=1)
    cursor = first["response_metadata"]["next_cursor"]
    second = reader.ok(JOINED, types=BOTH, limit=1, cursor=cursor)

    assert (ids(first), ids(second)) == ([GENERAL], [LEADS])
    assert second["response_metadata"] == {"next_cursor": ""}


def test_the_user_may_be_the_bot_alone(bellhop: Bellhop, reader: MethodCaller) -> None:
    [installation] = bellhop.slack.installations.values()
    assert ids(reader.ok(JOINED, user=installation.bot_user_id)) == [GENERAL]
    assert ids(reader.ok(JOINED, user="")) == [GENERAL]

    for user in (ANN, BEN, "U0NOBODY01", "x"):
        answer = reader.call(JOINED, user=user)
        assert (answer["ok"], answer["error"]) == (False, "invalid_arguments")
        [message] = answer["response_metadata"]["messages"]
        assert "[json-pointer:/user]" in message


def test_a_limited_key_sees_its_own_channels(bellhop: Bellhop, reader: MethodCaller) -> None:
    reader.ok(JOINED)
    limited = method_caller(bellhop, Scope.READ, channels=["#leads", RANDOM])

    assert ids(limited.ok(JOINED, types=BOTH)) == [LEADS]


def test_a_personal_key_sees_public_channels(bellhop: Bellhop, reader: MethodCaller) -> None:
    personal = method_caller(bellhop, Scope.READ, created_by=ANN)

    assert ids(personal.ok(JOINED, types=BOTH)) == [GENERAL]


def test_a_key_that_may_not_read(bellhop: Bellhop, reader: MethodCaller) -> None:
    assert method_caller(bellhop, Scope.SEND).error(JOINED) == "missing_scope"
