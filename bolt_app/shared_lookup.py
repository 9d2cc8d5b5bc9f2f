"""One lookup in a thread for all coroutines that wait for answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SharedLookup(Generic[K, V]):
    """Looks up what coroutines of one loop ask for; those who ask meanwhile share the next lookup.

    Each gets what was looked up after it asked.
    """

    def __init__(self, look_up: Callable[[Collection[K]], Mapping[K, V]]) -> None:
        """Take the lookup: it gets keys, in a thread, and returns a value for those it finds."""
        self._look_up = look_up
        self._next: dict[K, asyncio.Future[V | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """Return the value of a key, or None; what the lookup raises, all who share it get."""
        loop = asyncio.get_running_loop()
        answer = self._next.get(key)
        if answer is None:
            answer = self._next[key] = loop.create_future()
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        # A caller that is cancelled leaves the answer to the others.
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
