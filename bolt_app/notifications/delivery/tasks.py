"""Tasks of the delivery engine: coroutines on the HTTP loop, and calls in a pool of threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.logs import describe_error

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Before the next try, where the database does not answer or something else went wrong.
DATABASE_DOWN_SECONDS = 1.0


def log_failure(name: str, error: Exception) -> None:
    """Log what ended an attempt that is made again: an outage, or a defect with its traceback."""
    if isinstance(error, DATABASE_UNAVAILABLE):
        logger.warning("the database is not answering", extra={"error": describe_error(error)})
    else:
        logger.error("a %s failed", name, exc_info=error)


class Tasks:
    """Starts tasks, knows whether any is under way, and ends `wait` when one has ended."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """Whether any task is under way."""
        return bool(self._tasks)

    def start(self, task: Coroutine[Any, Any, None]) -> None:
        """Start a task; an error that it raises is logged."""
        started = asyncio.create_task(task)
        self._tasks.add(started)
        started.add_done_callback(self._ended)

    def run(self, call: Callable[..., T], *given: Any) -> Awaitable[T]:
        """Run something that uses the database in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._executor, call, *given)

    def wake(self) -> None:
        """End `wait` now."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until `wake` is called or a task ends."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def finish(self) -> None:
        """Wait until no task is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task failed", exc_info=error)
        self._woken.set()
