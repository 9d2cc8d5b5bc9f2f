"""Threads for calls that wait for Slack while a coroutine waits for their result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class SlackThreads:
    """Threads of which each workspace uses a few, so that a slow one leaves the rest to others.

    Everything else has other threads, and never waits for these.
    """

    def __init__(self, most: int, *, most_of_one: int, name: str) -> None:
        """Create it; threads start when they are needed.

        Args:
            most_of_one: threads of one workspace.
            name: the beginning of the threads' names.
        """
        self._executor = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._most_of_one = most_of_one
        # By workspace, while calls of it run or wait.
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, team_id: str, call: Callable[..., T], *given: Any) -> T:
        """Run a function for a workspace in a thread, from a coroutine on the HTTP loop."""
        async with self._rooms.setdefault(team_id, asyncio.Semaphore(self._most_of_one)):
            return await asyncio.get_running_loop().run_in_executor(self._executor, call, *given)

    def close(self) -> None:
        """Drop calls that have not begun, and wait for the others."""
        self._executor.shutdown(cancel_futures=True)
