"""Group commit: what several threads have to write at once becomes one transaction.

A commit takes the disk's time, and on PostgreSQL a transaction takes a round trip for each
statement; both cost the same for one as for many. Whoever comes while nobody is writing writes at
once; whoever comes meanwhile is written together with all others who did.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 64


class _Seat(Generic[T, R]):
    """A thread that waits for what it has to write, or for its turn to write for all."""

    __slots__ = ("call", "error", "item", "leads", "result")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result: R | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.call = threading.Lock()
        self.call.acquire()


class GroupCommit(Generic[T, R]):
    """Writes the items of several threads together.

    Args:
        write: writes items in one transaction, all or none, and returns a result for each.
        splits: whether, after an error, each is to be written alone: it may be one's fault.
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
        self._waiting: deque[_Seat[T, R]] = deque()
        self._is_led = False

    def write(self, item: T) -> R:
        """Write `item`, and return its result or raise its error."""
        seat: _Seat[T, R] = _Seat(item)
        with self._lock:
            self._waiting.append(seat)
            seat.leads = not self._is_led
            self._is_led = True
        if not seat.leads:
            seat.call.acquire()
        if seat.leads:
            self._lead(seat)
        if seat.error is not None:
            raise seat.error
        return seat.result  # type: ignore[return-value]

    def _lead(self, own: _Seat[T, R]) -> None:
        """Write for all who wait, and hand over to the first of those who came meanwhile."""
        with self._lock:
            count = min(len(self._waiting), MOST_AT_ONCE)
            seats = [self._waiting.popleft() for _ in range(count)]
        try:
            self._serve(seats)
        finally:
            with self._lock:
                self._is_led = bool(self._waiting)
                if self._is_led:
                    self._waiting[0].leads = True
                    self._waiting[0].call.release()
            for seat in seats:
                if seat is not own:
                    seat.call.release()

    def _serve(self, seats: Sequence[_Seat[T, R]]) -> None:
        try:
            results = self._write([seat.item for seat in seats])
        except BaseException as error:
            if len(seats) > 1 and self._splits(error):
                for seat in seats:
                    self._serve([seat])
                return
            for seat in seats:
                seat.error = error
        else:
            for seat, result in zip(seats, results, strict=True):
                seat.result = result
