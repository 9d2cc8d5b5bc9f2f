"""Shared reads of threads: no value is older than its call."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bolt_app.single_flight import SingleFlight

THREADS = 16


class Source:
    """A slow source: each read waits for the test."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def read(self) -> int:
        self.reads += 1
        seen = self.value
        self.begun.release()
        assert self.may_end.acquire(timeout=30)
        return seen


def test_a_change_before_a_call_is_seen_during_another_read() -> None:
    source = Source()
    reading = SingleFlight(source.read)
    with ThreadPoolExecutor() as threads:
        early = threads.submit(reading.get)
        assert source.begun.acquire(timeout=30)
        source.value = 1
        late = threads.submit(reading.get)
        source.may_end.release(2)

        assert early.result(30) == 0
        assert late.result(30) == 1


def test_simultaneous_callers_share_one_read() -> None:
    source, asked = Source(), threading.Semaphore(0)

    def monotonic() -> float:
        asked.release()
        return time.monotonic()

    reading = SingleFlight(source.read, monotonic=monotonic)
    with ThreadPoolExecutor(THREADS + 1) as threads:
        first = threads.submit(reading.get)
        assert source.begun.acquire(timeout=30)
        others = [threads.submit(reading.get) for _ in range(THREADS)]
        # The first caller checked the clock twice: at its call, and at the start of its read.
        for _ in range(THREADS + 2):
            assert asked.acquire(timeout=30)
        source.may_end.release(2)

        assert [first.result(30), *(other.result(30) for other in others)] == [0] * (THREADS + 1)
    assert source.reads == 2


def test_an_error_is_raised_once_and_the_next_caller_reads_again() -> None:
    errors = [OSError("down")]

    def read() -> int:
        if errors:
            raise errors.pop()
        return 7

    reading = SingleFlight(read)
    with pytest.raises(OSError, match="down"):
        reading.get()

    assert reading.get() == 7
