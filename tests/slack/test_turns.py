"""Requests from Slack compute one after the other, unless one of them takes long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from bolt_app.slack.turns import Turns

PATIENCE_SECONDS = 10.0


def test_a_request_begins_when_the_one_before_has_ended() -> None:
    turns, order = Turns(), list[str]()
    with ThreadPoolExecutor(1) as threads:
        with turns.turn():
            second = threads.submit(_take, turns, order)
            order.append("first")
        second.result(PATIENCE_SECONDS)

    assert order == ["first", "second"]


def test_a_request_that_waits_delays_nobody_for_long() -> None:
    turns, order, is_answered = Turns(), list[str](), Event()
    with ThreadPoolExecutor(1) as threads:
        with turns.turn():
            threads.submit(_take, turns, order).add_done_callback(lambda _: is_answered.set())
            assert is_answered.wait(PATIENCE_SECONDS)
        # The turn that was not had is not given back.
        threads.submit(_take, turns, order).result(PATIENCE_SECONDS)

    assert order == ["second", "second"]


def _take(turns: Turns, order: list[str]) -> None:
    with turns.turn():
        order.append("second")
