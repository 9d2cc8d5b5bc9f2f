"""One lookup, in a thread, for the keys of all waiting coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SharedLookup(Generic[K, V]):
    """Looks up keys for the coroutines of one loop; calls during a lookup share the next one.

    Each caller gets a value looked up after its call.
    """

    def __init__(self, look_up: Callable[[Collection[K]], Mapping[K, V]]) -> None:
        """Set the lookup, which runs in a thread and returns values for the keys it finds."""
        self._look_up = look_up
        self._next: dict[K, asyncio.Future[V | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """Return the value of a key, or None. An error is raised for all callers that share it."""
        loop = asyncio.get_running_loop()
        answer = self._next.get(key)
        if answer is None:
            answer = self._next[key] = loop.create_future()
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        # A cancelled caller leaves the answer to the others.
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        while self._next:
            asked, self._next = self._next, {}
            try:
                found = await asyncio.to_thread(self._look_up, asked.keys())
            except Exception as error:
                for answer in asked.values():
                    answer.set_exception(error)
            else:
                for key, answer in asked.items():
                    answer.set_result(found.get(key))
