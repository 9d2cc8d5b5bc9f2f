"""Calls to Slack that calls of the Slack-compatible Web API cause."""

from __future__ import annotations

import json

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.workspaces.people import CALLS_PER_MINUTE
from tests.people import ACME, ANN, BEN
from tests.running import Bellhop
from tests.web.methods.calling import JSON, method_caller

pytestmark = pytest.mark.sqlite_only

INFO, OPEN = "users.info", "conversations.open"


def test_invented_people_do_not_use_up_slacks_limit(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    who = method_caller(bellhop, Scope.USERS)
    for number in range(CALLS_PER_MINUTE):
        assert who.error(INFO, user=f"U0NOBODY{number}") == "user_not_found"

    answer = who.post(INFO, json.dumps({"user": BEN}).encode(), JSON)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    before = len(bellhop.slack.calls_to(INFO))
    assert bellhop.services.access.person(ACME, BEN, now=True).role is not None
    assert len(bellhop.slack.calls_to(INFO)) == before + 1
    bellhop.clock.advance(60)
    assert who.ok(INFO, user=BEN)["user"]["id"] == BEN


def test_a_limited_key_causes_no_calls_for_others_direct_messages(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    limited = method_caller(bellhop, channels=["#random"])
    before = len(bellhop.slack.calls_to(OPEN))

    for number in range(3):
        error = limited.error("chat.postMessage", channel=f"D0NOBODY{number}", text="x")
        assert error == "restricted_action"

    assert len(bellhop.slack.calls_to(OPEN)) == before
