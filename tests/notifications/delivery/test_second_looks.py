"""Second looks: one message is left of those that Slack accepted late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from slack_sandbox import Fault
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept, deliveries, states, texts
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import method_caller

POST = "chat.postMessage"
# Slack was seen to take a request so late.
LATE_SECONDS = 25


@pytest.fixture
def hand(bellhop: Bellhop) -> Hand:
    """Return a worker for a workspace in which Ann has installed Bellhop."""
    bellhop.install(ANN)
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    return Hand(bellhop)


def deliver(hand: Hand, seconds: int, step: int = 5) -> None:
    for _ in range(seconds // step):
        hand.deliver()
        hand.bellhop.clock.advance(step)


def lose_request(hand: Hand) -> Callable[[], None]:
    """Let the next post get no answer; return what lets Slack accept it."""
    bellhop = hand.bellhop
    bellhop.slack.faults.add(Fault(POST, "reset", times=1))
    hand.deliver()
    [lost] = [call for call in bellhop.slack.calls_to(POST) if call.status == 0]
    workspace = bellhop.services.client.find_workspace(ACME)

    def accept_late() -> None:
        bellhop.services.client.as_bot(workspace, POST, **lost.arguments)

    return accept_late


def post_twice(hand: Hand) -> tuple[Message, Message]:
    """Let the first message of the queue be posted, and again late; return the known one first."""
    accept_late = lose_request(hand)
    deliver(hand, LATE_SECONDS)
    accept_late()
    known, late = hand.bellhop.slack.messages(GENERAL)
    return known, late


def remove(bellhop: Bellhop, message: Message) -> None:
    with bellhop.slack.edit():
        message.deleted = True


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_a_message_that_slack_accepts_after_its_end_is_recorded(
    bellhop: Bellhop, hand: Hand, ending: str
) -> None:
    at = bellhop.clock() + timedelta(seconds=4) if ending == "expired" else None
    id_ = accept(bellhop, GENERAL, "late", expires_at=at)
    accept_late = lose_request(hand)
    if ending == "cancelled":
        bellhop.services.history.cancel(ACME, id_)
    deliver(hand, LATE_SECONDS)
    ended = states(bellhop, id_)
    accept_late()

    deliver(hand, 120)

    [delivery], [message] = deliveries(bellhop, id_), bellhop.slack.messages(GENERAL)
    assert (ended, delivery.state, delivery.ts) == ([ending], "sent", message.ts)
    assert delivery.second_look_at is None


def test_a_message_that_its_sender_deleted_in_doubt_is_deleted(
    bellhop: Bellhop, hand: Hand
) -> None:
    sender = method_caller(bellhop)
    ts = sender.ok(POST, channel=GENERAL, text="secret")["ts"]
    accept_late = lose_request(hand)
    sender.ok("chat.delete", channel=GENERAL, ts=ts)
    deliver(hand, LATE_SECONDS)
    accept_late()
    assert texts(bellhop, GENERAL) == ["secret"]

    deliver(hand, 120)

    assert texts(bellhop, GENERAL) == []


@pytest.mark.sqlite_only
@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_a_message_that_slack_never_accepts_stays_ended(
    bellhop: Bellhop, hand: Hand, ending: str
) -> None:
    at = bellhop.clock() + timedelta(seconds=4) if ending == "expired" else None
    id_ = accept(bellhop, GENERAL, "never", expires_at=at)
    lose_request(hand)
    if ending == "cancelled":
        bellhop.services.history.cancel(ACME, id_)

    deliver(hand, 120)

    [delivery] = deliveries(bellhop, id_)
    assert (delivery.state, delivery.second_look_at) == (ending, None)
    assert texts(bellhop, GENERAL) == []


@pytest.mark.sqlite_only
def test_the_late_message_is_deleted(bellhop: Bellhop, hand: Hand) -> None:
    id_ = accept(bellhop, GENERAL, "once")
    known, _ = post_twice(hand)

    deliver(hand, 120)

    assert [one.ts for one in bellhop.slack.messages(GENERAL)] == [known.ts]
    assert [one.ts for one in deliveries(bellhop, id_)] == [known.ts]


@pytest.mark.sqlite_only
def test_it_is_deleted_although_the_known_one_was_updated(bellhop: Bellhop, hand: Hand) -> None:
    accept(bellhop, GENERAL, "down", key="db")
    known, _ = post_twice(hand)
    accept(bellhop, GENERAL, "up", key="db")

    deliver(hand, 120)

    assert [(one.ts, one.text) for one in bellhop.slack.messages(GENERAL)] == [(known.ts, "up")]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("has_reply", [False, True])
def test_the_last_one_is_left_if_people_deleted_the_known_one(
    bellhop: Bellhop, hand: Hand, has_reply: bool
) -> None:
    """A deleted message with replies is still in the history, as a tombstone."""
    accept(bellhop, GENERAL, "once")
    known, late = post_twice(hand)
    if has_reply:
        bellhop.slack.post_as(ANN, GENERAL, "seen", thread_ts=known.ts)
    remove(bellhop, known)

    deliver(hand, 120)

    roots = [one.ts for one in bellhop.slack.messages(GENERAL) if one.thread_ts != known.ts]
    assert roots == [late.ts]


def test_no_message_is_left_that_its_sender_deletes(bellhop: Bellhop, hand: Hand) -> None:
    ci = method_caller(bellhop)
    ts = ci.ok(POST, channel=GENERAL, text="secret")["ts"]
    post_twice(hand)
    ci.ok("chat.delete", channel=GENERAL, ts=ts)

    deliver(hand, 120)

    assert texts(bellhop, GENERAL) == []
