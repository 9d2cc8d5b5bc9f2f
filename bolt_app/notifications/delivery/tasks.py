"""Tasks of the delivery engine: coroutines on the HTTP loop, and calls in a thread pool."""

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

# Wait after a database outage or another error.
DATABASE_UNAVAILABLE_SECONDS = 1.0


def log_failure(name: str, error: Exception) -> None:
    """Log an error of an operation that is retried: an outage, or a bug with its traceback."""
    if isinstance(error, DATABASE_UNAVAILABLE):
        logger.warning("the database is not answering", extra={"error": describe_error(error)})
    else:
        logger.error("a %s failed", name, exc_info=error)


class Tasks:
    """Starts tasks and tracks them; `wait` ends when one has ended."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """Whether any task is running."""
        return bool(self._tasks)

    def start(self, task: Coroutine[Any, Any, None]) -> None:
        """Start a task; an error that it raises is logged."""
        started = asyncio.create_task(task)
        self._tasks.add(started)
        started.add_done_callback(self._ended)

    def run(self, call: Callable[..., T], *given: Any) -> Awaitable[T]:
        """Run a function that uses the database in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._executor, call, *given)

    def wake(self) -> None:
        """End `wait` now."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a time, or until `wake` is called or a task ends."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def finish(self) -> None:
        """Wait until no task is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task failed", exc_info=error)
        self._woken.set()
