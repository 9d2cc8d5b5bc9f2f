"""Errors of Slack's servers: the request may have taken effect, and the content may be the cause.

https://docs.slack.dev/reference/methods/chat.postMessage#errors
"""

from __future__ import annotations

from typing import Any

import pytest

from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, deliveries, lane_of, states, texts
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop

POST, UPDATE = "chat.postMessage", "chat.update"
CODES = ("internal_error", "fatal_error")
# Longer than any wait between two attempts.
LONGEST_WAIT, DAY = 720, 86_400


@pytest.fixture
def hand(bellhop: Bellhop) -> Hand:
    """Return a worker for a workspace in which Ann has installed Bellhop."""
    bellhop.install(ANN)
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    return Hand(bellhop)


def deliver(hand: Hand, times: int, seconds: float = LONGEST_WAIT) -> None:
    for _ in range(times):
        hand.deliver()
        hand.bellhop.clock.advance(seconds)


def fail(bellhop: Bellhop, times: int | None = None, method: str = POST, **given: Any) -> None:
    error = given.pop("error", "internal_error")
    bellhop.slack.faults.add(Fault(method, "api_error", error=error, times=times))


@pytest.mark.parametrize("code", CODES)
def test_a_message_that_was_posted_nonetheless_is_not_posted_again(
    bellhop: Bellhop, hand: Hand, code: str
) -> None:
    bellhop.slack.faults.add(Fault(POST, "api_error_after", error=code, times=1))
    id_ = accept(bellhop, GENERAL, "once")

    deliver(hand, 3)

    assert (texts(bellhop, GENERAL), states(bellhop, id_)) == (["once"], ["sent"])


@pytest.mark.sqlite_only
def test_an_update_that_was_made_nonetheless_is_found(bellhop: Bellhop, hand: Hand) -> None:
    accept(bellhop, GENERAL, "down", key="db")
    deliver(hand, 1)
    bellhop.slack.faults.add(Fault(UPDATE, "api_error_after", error=CODES[0], times=1))
    id_ = accept(bellhop, GENERAL, "up", key="db")

    deliver(hand, 3)

    assert (texts(bellhop, GENERAL), states(bellhop, id_)) == (["up"], ["sent"])


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("attempt", "has_layout", "has_buttons"),
    [(6, True, True), (7, False, True), (8, False, False), (20, False, False)],
)
def test_a_content_that_fails_again_and_again_is_simplified(
    bellhop: Bellhop, hand: Hand, attempt: int, has_layout: bool, has_buttons: bool
) -> None:
    fail(bellhop, attempt - 1)
    attachments = [{"color": "danger", "title": "Hosts", "footer": "monitor", "text": "db1"}]
    id_ = accept(bellhop, GENERAL, attachments=attachments, key="db", actions=["acknowledge"])
    after = accept(bellhop, GENERAL, "after")

    deliver(hand, attempt + 1)

    assert states(bellhop, id_, after) == ["sent", "sent"]
    [message, _] = bellhop.slack.messages(GENERAL)
    shown = str((message.blocks, message.attachments))
    assert ("monitor" in shown, "Acknowledge" in shown) == (has_layout, has_buttons)
    assert "db1" in f"{message.text} {shown}"


@pytest.mark.sqlite_only
def test_errors_of_other_kinds_do_not_simplify_a_message(bellhop: Bellhop, hand: Hand) -> None:
    fail(bellhop, 12, error="service_unavailable")
    accept(bellhop, GENERAL, key="db", title="Hosts", actions=["acknowledge"])

    deliver(hand, 14)

    [message] = bellhop.slack.messages(GENERAL)
    assert "Acknowledge" in str((message.blocks, message.attachments))


def test_an_overdue_one_ends_alone(bellhop: Bellhop, hand: Hand) -> None:
    """The next ones are attempted, although they have waited for as long."""
    fail(bellhop)
    bad, good = accept(bellhop, GENERAL, "bad"), accept(bellhop, GENERAL, "good")
    hand.deliver()
    bellhop.clock.advance(DAY)
    hand.deliver()
    bellhop.slack.faults.clear()

    deliver(hand, 2)

    assert states(bellhop, bad, good) == ["unknown", "sent"]
    assert texts(bellhop, GENERAL) == ["good"]
    assert lane_of(bellhop, GENERAL).failing_since is None


def test_overdue_ones_of_a_channel_that_fails_end_after_one_attempt_each(
    bellhop: Bellhop, hand: Hand
) -> None:
    fail(bellhop)
    old = [accept(bellhop, GENERAL, f"{number}") for number in range(5)]
    hand.deliver()
    bellhop.clock.advance(DAY - 1)
    late = accept(bellhop, GENERAL, "late")
    bellhop.clock.advance(1)

    deliver(hand, 8, seconds=2)

    assert states(bellhop, *old) == ["unknown"] * 5
    assert [one.attempts for id_ in old[1:] for one in deliveries(bellhop, id_)] == [1] * 4
    assert states(bellhop, late) == ["sending"]
