"""Batching: concurrent calls share a run that begins after them, and each gets its own result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bolt_app.batching import MOST_AT_ONCE, AsyncBatcher, Batcher


class FakeDisk:
    """Writes numbers, and blocks while `gate` is closed."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.busy = threading.Event()
        self.bad: set[int] = set()
        self.gate.set()

    def write(self, items: Sequence[int]) -> Sequence[int]:
        self.busy.set()
        assert self.gate.wait(30)
        if self.bad.intersection(items):
            raise ValueError(f"bad: {sorted(self.bad.intersection(items))}")
        self.groups.append(list(items))
        return [item * 10 for item in items]


def waiting(group: Batcher[int, int]) -> int:
    return len(group._waiting)


def write_while_busy(
    pool: ThreadPoolExecutor, disk: FakeDisk, group: Batcher[int, int], items: Sequence[int]
) -> list[Future[int]]:
    """Block the first write until all other items wait."""
    disk.gate.clear()
    disk.busy.clear()
    futures = [pool.submit(group.call, items[0])]
    assert disk.busy.wait(30)
    for number, item in enumerate(items[1:], start=1):
        futures.append(pool.submit(group.call, item))
        wait_until(lambda wanted=number: waiting(group) == wanted)  # type: ignore[misc]
    disk.gate.set()
    return futures


def wait_until(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(30_000):
        if condition():
            return
        tick.wait(0.001)
    raise AssertionError("it did not happen")


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


def group_on(disk: FakeDisk) -> Batcher[int, int]:
    return Batcher(disk.write, splits=lambda error: isinstance(error, ValueError))


def test_a_single_item_is_written_at_once(disk: FakeDisk) -> None:
    group = group_on(disk)

    assert [group.call(1), group.call(2)] == [10, 20]
    assert disk.groups == [[1], [2]]


def test_concurrent_items_are_written_together_in_order(disk: FakeDisk) -> None:
    with ThreadPoolExecutor(5) as pool:
        futures = write_while_busy(pool, disk, group_on(disk), [1, 2, 3, 4, 5])

    assert [one.result() for one in futures] == [10, 20, 30, 40, 50]
    assert disk.groups == [[1], [2, 3, 4, 5]]


def test_the_size_of_a_group_is_limited(disk: FakeDisk) -> None:
    items = list(range(MOST_AT_ONCE + 2))
    with ThreadPoolExecutor(len(items)) as pool:
        futures = write_while_busy(pool, disk, group_on(disk), items)

    assert [one.result() for one in futures] == [item * 10 for item in items]
    assert [len(one) for one in disk.groups] == [1, MOST_AT_ONCE, 1]


def test_an_items_error_does_not_affect_others(disk: FakeDisk) -> None:
    disk.bad = {3}
    with ThreadPoolExecutor(4) as pool:
        futures = write_while_busy(pool, disk, group_on(disk), [1, 2, 3, 4])

    assert [one.result() for one in futures if one.exception() is None] == [10, 20, 40]
    with pytest.raises(ValueError, match=r"bad: \[3\]"):
        futures[2].result()
    assert disk.groups == [[1], [2], [4]]


def test_a_shared_error_is_raised_for_all(disk: FakeDisk) -> None:
    disk.bad = {3}
    group: Batcher[int, int] = Batcher(disk.write, splits=lambda _: False)
    with ThreadPoolExecutor(4) as pool:
        futures = write_while_busy(pool, disk, group, [1, 2, 3, 4])

    assert [one.exception() is None for one in futures] == [True, False, False, False]
    assert group.call(5) == 50


def test_every_item_gets_its_result(disk: FakeDisk) -> None:
    group = group_on(disk)
    disk.bad = {number for number in range(2000) if number % 97 == 0}

    def write(item: int) -> int | None:
        try:
            return group.call(item)
        except ValueError:
            return None

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(write, range(2000)))

    assert results == [None if n in disk.bad else n * 10 for n in range(2000)]
    assert sorted(n for one in disk.groups for n in one) == sorted(set(range(2000)) - disk.bad)


class Source:
    """A slow source: each read waits for the test."""

    def __init__(self) -> None:
        self.value = 0
        self.asked: list[set[str]] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def read(self, calls: Sequence[None]) -> Sequence[int]:
        seen = self.value
        self.begun.release()
        assert self.may_end.acquire(timeout=30)
        return [seen] * len(calls)

    async def look_up(self, keys: Collection[str]) -> dict[str, int]:
        self.asked.append(set(keys))
        [seen] = await asyncio.to_thread(self.read, [None])
        return {key: seen for key in keys if key != "missing"}


def test_a_change_before_a_call_is_seen_during_another_run() -> None:
    source = Source()
    reading: Batcher[None, int] = Batcher(source.read, splits=lambda _: True)
    with ThreadPoolExecutor() as threads:
        early = threads.submit(reading.call, None)
        assert source.begun.acquire(timeout=30)
        source.value = 1
        late = threads.submit(reading.call, None)
        source.may_end.release(2)

        assert early.result(30) == 0
        assert late.result(30) == 1


class TestCoroutines:
    def test_calls_during_a_run_share_the_next_one(self) -> None:
        source = Source()
        lookup = AsyncBatcher(source.look_up)

        async def ask() -> list[int | None]:
            first = asyncio.create_task(lookup.call("a"))
            assert await asyncio.to_thread(source.begun.acquire, timeout=30)
            source.value = 1
            others = [asyncio.create_task(lookup.call(key)) for key in ("a", "b", "missing")]
            await asyncio.sleep(0)
            source.may_end.release(2)
            return list(await asyncio.gather(first, *others))

        assert asyncio.run(ask()) == [0, 1, 1, None]
        assert source.asked == [{"a"}, {"a", "b", "missing"}]

    def test_calls_share_a_run_that_waits_for_its_turn(self) -> None:
        source, turn = Source(), asyncio.Lock()
        lookup = AsyncBatcher(source.look_up, turn=turn)

        async def ask() -> list[int | None]:
            async with turn:
                first = asyncio.create_task(lookup.call("a"))
                await asyncio.sleep(0)
                second = asyncio.create_task(lookup.call("b"))
                await asyncio.sleep(0)
                assert source.asked == []
            source.may_end.release()
            return list(await asyncio.gather(first, second))

        assert asyncio.run(ask()) == [0, 0]
        assert source.asked == [{"a", "b"}]

    def test_a_failure_affects_only_the_calls_of_that_run(self) -> None:
        failures = [OSError("down")]

        async def look_up(keys: Collection[str]) -> dict[str, int]:
            if failures:
                raise failures.pop()
            return dict.fromkeys(keys, 1)

        lookup = AsyncBatcher(look_up)

        async def ask() -> int | None:
            with pytest.raises(OSError, match="down"):
                await lookup.call("a")
            return await lookup.call("a")

        assert asyncio.run(ask()) == 1

    def test_a_cancelled_caller_leaves_the_answer_to_the_others(self) -> None:
        source = Source()
        lookup = AsyncBatcher(source.look_up)

        async def ask() -> int | None:
            cancelled, other = (asyncio.create_task(lookup.call("a")) for _ in range(2))
            assert await asyncio.to_thread(source.begun.acquire, timeout=30)
            cancelled.cancel()
            source.may_end.release()
            return await other

        assert asyncio.run(ask()) == 0
