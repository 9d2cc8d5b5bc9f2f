"""Waiting for the result of a message: how long, for which ones, and in how many threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.messages.results import MessageResult, MessageResults
from tests.people import ACME, GENERAL
from tests.running import Bellhop
from tests.web.calling import put_bot

SECONDS = 1.0


class Time:
    """A monotonic clock that moves when someone sleeps, and what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happens: Callable[[], Any] = lambda: None

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.now += seconds
        self.happens()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def results(bellhop: Bellhop, time: Time, *, most: int = 1, seconds: float = 1) -> MessageResults:
    database = bellhop.services.database
    return MessageResults(database, seconds=seconds, most=most, pause=time.sleep, monotonic=time)


def accept(bellhop: Bellhop) -> int:
    """Accept a message; return its delivery."""
    put_bot(bellhop)
    request = NotificationRequest.model_validate({"to": GENERAL, "text": "x"})
    sender = Sender(ACME, "command")
    result = bellhop.services.intake.submit(sender, [request], as_messages=True)
    return result.notifications[0].deliveries[0].id


def end(bellhop: Bellhop, delivery_id: int, **values: Any) -> None:
    with bellhop.services.database.writing() as session:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def test_the_result_of_a_message_that_is_sent_meanwhile(bellhop: Bellhop, time: Time) -> None:
    delivery_id = accept(bellhop)
    end(bellhop, delivery_id, state="sending")
    time.happens = lambda: end(
        bellhop, delivery_id, state="sent", channel_id=GENERAL, ts="1.1", error=None
    )

    found = results(bellhop, time).wait(delivery_id)

    assert found == MessageResult(GENERAL, "1.1")
    assert 0 < time.now < SECONDS


@pytest.mark.sqlite_only
def test_the_error_of_a_message_that_fails_meanwhile(bellhop: Bellhop, time: Time) -> None:
    delivery_id = accept(bellhop)
    time.happens = lambda: end(bellhop, delivery_id, state="dead", error="is_archived")

    assert results(bellhop, time).wait(delivery_id) == MessageResult(error="is_archived")


@pytest.mark.sqlite_only
def test_no_longer_than_its_time(bellhop: Bellhop, time: Time) -> None:
    assert results(bellhop, time).wait(accept(bellhop)) is None
    assert time.now == pytest.approx(SECONDS)


@pytest.mark.parametrize("state", ["waiting", "sending"])
def test_not_behind_another_message(bellhop: Bellhop, time: Time, state: str) -> None:
    end(bellhop, accept(bellhop), state=state)

    assert results(bellhop, time).wait(accept(bellhop)) is None
    assert time.now == 0


@pytest.mark.sqlite_only
@pytest.mark.parametrize("state", ["scheduled", "held", "muted", "sent", "cancelled"])
def test_not_for_a_message_that_is_not_due(bellhop: Bellhop, time: Time, state: str) -> None:
    delivery_id = accept(bellhop)
    end(bellhop, delivery_id, state=state)

    assert results(bellhop, time).wait(delivery_id) is None
    assert time.now == 0


@pytest.mark.sqlite_only
@pytest.mark.parametrize(("most", "seconds"), [(0, 1), (1, 0)])
def test_not_where_waiting_is_off(bellhop: Bellhop, time: Time, most: int, seconds: float) -> None:
    waiting = results(bellhop, time, most=most, seconds=seconds)

    assert waiting.wait(accept(bellhop)) is None
    assert time.now == 0


@pytest.mark.sqlite_only
def test_not_in_more_threads_than_may_wait(bellhop: Bellhop, time: Time) -> None:
    first, waiting, inner = accept(bellhop), results(bellhop, time), []

    def meanwhile() -> None:
        before = time.now
        with ThreadPoolExecutor(1) as other:
            inner.append((other.submit(waiting.wait, first).result(), time.now - before))

    time.happens = meanwhile
    waiting.wait(first)

    # The slot is free again afterwards.
    assert set(inner) == {(None, 0.0)}
    time.happens = lambda: end(bellhop, first, state="sent", channel_id=GENERAL, ts="1.1")
    assert waiting.wait(first) is not None


@pytest.mark.sqlite_only
def test_a_message_that_is_gone(bellhop: Bellhop, time: Time) -> None:
    assert results(bellhop, time).wait(404) is None
