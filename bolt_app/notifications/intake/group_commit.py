"""Group commit: concurrent writes of several threads share one transaction.

A commit costs a disk flush and, on PostgreSQL, a round trip for each statement, for one item as for
many. A thread that arrives while none is writing writes at once; the threads that arrive meanwhile
are written together afterwards.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 64


class _Waiter(Generic[T, R]):
    """A thread that waits for its result, or for its turn to write for all."""

    __slots__ = ("error", "is_leader", "item", "result", "wakeup")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result: R | None = None
        self.error: BaseException | None = None
        self.is_leader = False
        self.wakeup = threading.Lock()
        self.wakeup.acquire()


class GroupCommit(Generic[T, R]):
    """Writes the items of several threads together.

    Args:
        write: writes items in one transaction, all or none, and returns a result for each.
        splits: whether items are written one by one after an error, which one of them may cause.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Sequence[R]],
        *,
        splits: Callable[[BaseException], bool],
    ) -> None:
        self._write = write
        self._splits = splits
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter[T, R]] = deque()
        self._has_leader = False

    def write(self, item: T) -> R:
        """Write `item`, and return its result or raise its error."""
        waiter: _Waiter[T, R] = _Waiter(item)
        with self._lock:
            self._waiting.append(waiter)
            waiter.is_leader = not self._has_leader
            self._has_leader = True
        if not waiter.is_leader:
            waiter.wakeup.acquire()
        if waiter.is_leader:
            self._lead(waiter)
        if waiter.error is not None:
            raise waiter.error
        return waiter.result  # type: ignore[return-value]

    def _lead(self, leader: _Waiter[T, R]) -> None:
        """Write for all waiting threads, and pass the lead to the first that arrived meanwhile."""
        with self._lock:
            count = min(len(self._waiting), MOST_AT_ONCE)
            waiters = [self._waiting.popleft() for _ in range(count)]
        try:
            self._write_all(waiters)
        finally:
            with self._lock:
                self._has_leader = bool(self._waiting)
                if self._has_leader:
                    self._waiting[0].is_leader = True
                    self._waiting[0].wakeup.release()
            for waiter in waiters:
                if waiter is not leader:
                    waiter.wakeup.release()

    def _write_all(self, waiters: Sequence[_Waiter[T, R]]) -> None:
        try:
            results = self._write([waiter.item for waiter in waiters])
        except BaseException as error:
            if len(waiters) > 1 and self._splits(error):
                for waiter in waiters:
                    self._write_all([waiter])
                return
            for waiter in waiters:
                waiter.error = error
        else:
            for waiter, result in zip(waiters, results, strict=True):
                waiter.result = result
