"""Shared lookups of coroutines: no result is older than its call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection

import pytest

from bolt_app.shared_lookup import SharedLookup


class Source:
    """A slow source: each lookup waits for the test."""

    def __init__(self) -> None:
        self.value = 0
        self.asked: list[set[str]] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def look_up(self, keys: Collection[str]) -> dict[str, int]:
        self.asked.append(set(keys))
        seen = self.value
        self.begun.release()
        assert self.may_end.acquire(timeout=30)
        return {key: seen for key in keys if key != "missing"}


def test_calls_during_a_lookup_share_the_next_one() -> None:
    source = Source()
    lookup = SharedLookup(source.look_up)

    async def ask() -> list[int | None]:
        first = asyncio.create_task(lookup.find("a"))
        assert await asyncio.to_thread(source.begun.acquire, timeout=30)
        source.value = 1
        others = [asyncio.create_task(lookup.find(key)) for key in ("a", "b", "missing")]
        await asyncio.sleep(0)
        source.may_end.release(2)
        return list(await asyncio.gather(first, *others))

    assert asyncio.run(ask()) == [0, 1, 1, None]
    assert source.asked == [{"a"}, {"a", "b", "missing"}]


def test_a_failure_affects_only_the_callers_of_that_lookup() -> None:
    failures = [OSError("down")]

    def look_up(keys: Collection[str]) -> dict[str, int]:
        if failures:
            raise failures.pop()
        return dict.fromkeys(keys, 1)

    lookup = SharedLookup(look_up)

    async def ask() -> int | None:
        with pytest.raises(OSError, match="down"):
            await lookup.find("a")
        return await lookup.find("a")

    assert asyncio.run(ask()) == 1


def test_a_cancelled_caller_leaves_the_answer_to_the_others() -> None:
    source = Source()
    lookup = SharedLookup(source.look_up)

    async def ask() -> int | None:
        cancelled, other = (asyncio.create_task(lookup.find("a")) for _ in range(2))
        assert await asyncio.to_thread(source.begun.acquire, timeout=30)
        cancelled.cancel()
        source.may_end.release()
        return await other

    assert asyncio.run(ask()) == 0
