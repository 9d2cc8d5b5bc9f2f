"""Group commit: concurrent items are written together, and each caller gets its own result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bolt_app.notifications.intake.group_commit import MOST_AT_ONCE, GroupCommit


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


def waiting(group: GroupCommit[int, int]) -> int:
    return len(group._waiting)


def write_while_busy(
    pool: ThreadPoolExecutor, disk: FakeDisk, group: GroupCommit[int, int], items: Sequence[int]
) -> list[Future[int]]:
    """Block the first write until all other items wait."""
    disk.gate.clear()
    disk.busy.clear()
    futures = [pool.submit(group.write, items[0])]
    assert disk.busy.wait(30)
    for number, item in enumerate(items[1:], start=1):
        futures.append(pool.submit(group.write, item))
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


def group_on(disk: FakeDisk) -> GroupCommit[int, int]:
    return GroupCommit(disk.write, splits=lambda error: isinstance(error, ValueError))


def test_a_single_item_is_written_at_once(disk: FakeDisk) -> None:
    group = group_on(disk)

    assert [group.write(1), group.write(2)] == [10, 20]
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
    group: GroupCommit[int, int] = GroupCommit(disk.write, splits=lambda _: False)
    with ThreadPoolExecutor(4) as pool:
        futures = write_while_busy(pool, disk, group, [1, 2, 3, 4])

    assert [one.exception() is None for one in futures] == [True, False, False, False]
    assert group.write(5) == 50


def test_every_item_gets_its_result(disk: FakeDisk) -> None:
    group = group_on(disk)
    disk.bad = {number for number in range(2000) if number % 97 == 0}

    def write(item: int) -> int | None:
        try:
            return group.write(item)
        except ValueError:
            return None

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(write, range(2000)))

    assert results == [None if n in disk.bad else n * 10 for n in range(2000)]
    assert sorted(n for one in disk.groups for n in one) == sorted(set(range(2000)) - disk.bad)
