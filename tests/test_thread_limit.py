"""Limits on threads that wait for the same thing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bolt_app.thread_limit import SlackWaits, ThreadLimit
from tests.running import PATIENCE_SECONDS


class TestThreadLimit:
    def test_a_thread_waits_for_one_that_entered_just_now(self) -> None:
        limit = ThreadLimit(1, patience=PATIENCE_SECONDS)
        with ThreadPoolExecutor(1) as threads:
            with limit.enter():
                other = threads.submit(enters, limit)
            assert other.result(PATIENCE_SECONDS)

    def test_a_thread_waits_for_nothing_while_those_inside_stay_long(self) -> None:
        seconds = [0.0]
        limit = ThreadLimit(1, patience=PATIENCE_SECONDS, monotonic=lambda: seconds[0])
        with ThreadPoolExecutor(1) as threads, limit.enter():
            seconds[0] += PATIENCE_SECONDS

            assert not threads.submit(enters, limit).result(PATIENCE_SECONDS / 2)

    def test_a_thread_may_enter_again(self) -> None:
        limit = ThreadLimit(1)
        with limit.enter():
            assert enters(limit)


class TestSlackWaits:
    def test_lookups_leave_room_for_answers(self) -> None:
        waits = SlackWaits(1, most_answers=1, patience=0)
        with ThreadPoolExecutor(1) as threads, waits.enter():
            assert not threads.submit(calls, waits, is_answer=False).result()
            assert threads.submit(calls, waits, is_answer=True).result()

    def test_answers_are_limited_too(self) -> None:
        waits = SlackWaits(1, most_answers=1, patience=0)
        with ThreadPoolExecutor(1) as threads, waits.serving(), waits.calling(is_answer=True):
            assert not threads.submit(calls, waits, is_answer=True).result()
            assert threads.submit(calls, waits, is_answer=False).result()


def enters(limit: ThreadLimit) -> bool:
    with limit.enter() as has_room:
        return has_room


def calls(waits: SlackWaits, *, is_answer: bool) -> bool:
    with waits.serving(), waits.calling(is_answer=is_answer) as has_room:
        return has_room
