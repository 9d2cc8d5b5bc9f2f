"""The timetable: periodic tasks, run by the worker that owns the first shard."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.logs import describe_error

logger = logging.getLogger(__name__)

# Periodic tasks have separate threads, so that none delays a delivery.
THREADS = 2


@dataclass(frozen=True)
class PeriodicTask:
    """A function that is called periodically, and at once by a new owner."""

    name: str
    call: Callable[[], object]
    seconds: float


class Timetable:
    """Runs periodic tasks, each at most once at a time.

    Args:
        is_owner: whether this process runs them.
        stopping: set by `close`, for tasks that take long to end early.
    """

    def __init__(
        self,
        tasks: Iterable[PeriodicTask],
        is_owner: Callable[[], bool],
        *,
        poll: float,
        stopping: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = list(tasks)
        self._is_owner = is_owner
        self._poll = poll
        self._stopping = stopping
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="timetable")

    async def run(self) -> None:
        """Run tasks until this is cancelled."""
        await asyncio.gather(*(self._repeat(task) for task in self._tasks))

    def close(self) -> None:
        """Ask tasks that have begun to end, and wait for them."""
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)

    async def _repeat(self, task: PeriodicTask) -> None:
        due, was_owner = float("-inf"), False
        while True:
            is_owner = self._is_owner()
            if is_owner and (not was_owner or self._monotonic() >= due):
                due = self._monotonic() + task.seconds
                await self._call(task)
            was_owner = is_owner
            await asyncio.sleep(self._poll)

    async def _call(self, task: PeriodicTask) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, task.call)
        except DATABASE_UNAVAILABLE as error:
            shown = {"task": task.name, "error": describe_error(error)}
            logger.warning("a periodic task failed", extra=shown)
        except Exception:
            logger.exception("a periodic task failed", extra={"task": task.name})
