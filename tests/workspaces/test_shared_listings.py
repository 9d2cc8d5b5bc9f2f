"""Listings of channels that many callers want at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import BotWorkspace
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import JSON, method_caller

pytestmark = pytest.mark.sqlite_only

LIST = "conversations.list"
PAGES, AT_ONCE = 2, 4
MINUTE = 60.0


@pytest.fixture
def workspace(bellhop: Bellhop) -> BotWorkspace:
    bellhop.install(ANN)
    return bellhop.services.client.find_workspace(ACME)


def listings(bellhop: Bellhop) -> int:
    return len(bellhop.slack.calls_to(LIST))


def test_many_calls_at_once_make_one_listing(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    """Of a large workspace two listings at once would reach Slack's limit of 20 calls a minute."""
    bellhop.slack.add_channels(ACME, 1000)
    who = method_caller(bellhop, Scope.READ)
    body = json.dumps({"limit": 1}).encode()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        running = [threads.submit(who.post, LIST, body, JSON) for _ in range(AT_ONCE)]
        answers = [one.result().status for one in running]

    assert listings(bellhop) == PAGES
    assert answers == [200] * AT_ONCE
    assert bellhop.services.channels.names_of_public(ACME, [GENERAL])


def test_after_a_failure_none_is_made_for_a_while(
    bellhop: Bellhop, workspace: BotWorkspace
) -> None:
    channels = bellhop.services.channels
    bellhop.slack.faults.add(Fault(LIST, "server_error"))
    for _ in range(3):
        for ask in (
            lambda: channels.names_of_public(ACME, [GENERAL]),
            lambda: channels.search(workspace),
        ):
            with pytest.raises(SlackCallError) as raised:
                ask()
    assert raised.value.retry_after is not None
    assert listings(bellhop) == 1

    bellhop.slack.faults.clear()
    bellhop.clock.advance(MINUTE)

    assert GENERAL in channels.names_of_public(ACME, [GENERAL])


def test_unknown_names_make_none_either(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    channels = bellhop.services.channels
    hand = Hand(bellhop)
    bellhop.slack.faults.add(Fault(LIST, "server_error"))
    id_ = accept(bellhop, "#invented", "x")
    for _ in range(9):
        hand.deliver()
        with pytest.raises(SlackCallError):
            channels.find(workspace, "#invented")
        bellhop.clock.advance(1)
    assert listings(bellhop) == 1

    bellhop.slack.faults.clear()
    bellhop.clock.advance(MINUTE)
    hand.deliver()

    assert listings(bellhop) == 2
    assert states(bellhop, id_) == ["dead"]


def test_a_delivery_and_a_call_share_one(bellhop: Bellhop, workspace: BotWorkspace) -> None:
    bellhop.slack.add_channels(ACME, 1000)
    who = method_caller(bellhop, Scope.READ)
    accept(bellhop, "#invented", "x")
    hand = Hand(bellhop)
    body = json.dumps({"channel": "nosuch"}).encode()

    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(who.post, "conversations.info", body, JSON)
        threads.submit(hand.deliver).result()
        running.result()

    assert listings(bellhop) == PAGES
