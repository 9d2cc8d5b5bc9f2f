"""Batching: calls that arrive while another runs are served together by the next run.

Each call is served by a run that begins after it, so no result is older than its call. A call that
arrives while nothing runs does not wait.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 64


class _Waiter(Generic[T, R]):
    """A thread that waits for its result, or for its turn to run for all."""

    __slots__ = ("error", "is_leader", "item", "result", "wakeup")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result: R | None = None
        self.error: BaseException | None = None
        self.is_leader = False
        self.wakeup = threading.Lock()
        self.wakeup.acquire()


class Batcher(Generic[T, R]):
    """Batches the calls of threads.

    Args:
        run: takes the items of up to `MOST_AT_ONCE` calls, in order, and returns a result for each.
        splits: whether items run one by one after an error, which one of them may have caused;
            otherwise all calls of the batch raise it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R]],
        *,
        splits: Callable[[BaseException], bool],
    ) -> None:
        self._run = run
        self._splits = splits
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter[T, R]] = deque()
        self._has_leader = False

    def call(self, item: T) -> R:
        """Return the result for `item`, or raise its error."""
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
        """Run for all waiting threads, and pass the lead to the first that arrived meanwhile."""
        with self._lock:
            count = min(len(self._waiting), MOST_AT_ONCE)
            waiters = [self._waiting.popleft() for _ in range(count)]
        try:
            self._run_all(waiters)
        finally:
            with self._lock:
                self._has_leader = bool(self._waiting)
                if self._has_leader:
                    self._waiting[0].is_leader = True
                    self._waiting[0].wakeup.release()
            for waiter in waiters:
                if waiter is not leader:
                    waiter.wakeup.release()

    def _run_all(self, waiters: Sequence[_Waiter[T, R]]) -> None:
        try:
            results = self._run([waiter.item for waiter in waiters])
        except BaseException as error:
            if len(waiters) > 1 and self._splits(error):
                for waiter in waiters:
                    self._run_all([waiter])
                return
            for waiter in waiters:
                waiter.error = error
        else:
            for waiter, result in zip(waiters, results, strict=True):
                waiter.result = result


class AsyncBatcher(Generic[T, R]):
    """Batches the calls of the coroutines of one event loop; equal items run once.

    Args:
        run: takes the items of all calls, and returns results for those that have one. All calls
            of a batch raise its error.
        turn: held during a run, for work that takes turns with other work. Calls that arrive while
            a run waits for it are still served by that run.
    """

    def __init__(
        self,
        run: Callable[[Collection[T]], Awaitable[Mapping[T, R]]],
        *,
        turn: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        self._run = run
        self._turn = nullcontext() if turn is None else turn
        self._waiting: dict[T, asyncio.Future[R | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def call(self, item: T) -> R | None:
        """Return the result for `item`, or None if it has none."""
        loop = asyncio.get_running_loop()
        answer = self._waiting.get(item)
        if answer is None:
            answer = self._waiting[item] = loop.create_future()
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run_all())
        # A cancelled caller leaves the answer to the others.
        return await asyncio.shield(answer)

    async def _run_all(self) -> None:
        while self._waiting:
            async with self._turn:
                waiting, self._waiting = self._waiting, {}
                await self._answer(waiting)

    async def _answer(self, waiting: Mapping[T, asyncio.Future[R | None]]) -> None:
        try:
            results = await self._run(waiting.keys())
        except asyncio.CancelledError:
            for answer in waiting.values():
                answer.cancel()
            raise
        except Exception as error:
            for answer in waiting.values():
                answer.set_exception(error)
        else:
            for item, answer in waiting.items():
                answer.set_result(results.get(item))
