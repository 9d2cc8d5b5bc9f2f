"""The event loop for HTTP requests: one per process, in a separate thread.

Connections can be reused only within a loop, so all HTTP clients of a process share it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakSet

from aiohttp import ClientSession

T = TypeVar("T")
Sessions = dict[Callable[[], ClientSession], ClientSession]

# Requests have deadlines. This much later the loop itself counts as stuck.
MARGIN_SECONDS = 5.0


@dataclass(frozen=True)
class _Running:
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    sessions: Sessions


class HttpLoop:
    """Runs coroutines that send HTTP requests, and owns their sessions.

    The thread starts with the first request. A forked child starts another, because threads do not
    survive a fork and connections cannot be shared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._inherited: _Running | None = None
        self._is_closed = False
        _loops.add(self)

    def run(self, call: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine on the loop and return its result.

        Args:
            timeout: the timeout of the coroutine, in seconds.

        Raises:
            TimeoutError: no result `MARGIN_SECONDS` after the timeout.
            ConnectionAbortedError: the loop was closed before there was a result.
            RuntimeError: the caller runs on the loop, and must `await` instead.
        """
        try:
            future = self.submit(call)
        except Exception:
            call.close()
            raise
        try:
            return future.result(timeout + MARGIN_SECONDS)
        except CancelledError:
            raise ConnectionAbortedError("the HTTP loop was closed") from None
        finally:
            future.cancel()

    def session(self, create: Callable[[], ClientSession]) -> ClientSession:
        """Return the session of `create`, created on first use and closed with the loop.

        Raises:
            RuntimeError: the caller does not run on this loop.
        """
        running = self._running
        if running is None or asyncio.get_running_loop() is not running.loop:
            raise RuntimeError("HTTP requests must be sent on the HTTP loop")
        session = running.sessions.get(create)
        if session is None:
            session = running.sessions[create] = create()
        return session

    def close(self) -> None:
        """Cancel running requests, and close all connections."""
        with self._lock:
            self._is_closed = True
            running, self._running = self._running, None
            if running is None:
                return
            running.loop.call_soon_threadsafe(running.loop.stop)
        running.thread.join()
        atexit.unregister(self.close)

    def forget_parent(self) -> None:
        """Discard the parent's loop, in a forked child."""
        # A thread of the parent may hold the lock.
        self._lock = threading.Lock()
        # Kept alive, because garbage collection would close connections that belong to the parent.
        self._inherited, self._running = self._running, None

    def submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop, and return its future.

        Raises:
            ConnectionAbortedError: the loop is closed.
            RuntimeError: the caller runs on the loop.
        """
        # The lock prevents `close` from stopping the loop before it receives the coroutine.
        with self._lock:
            if self._is_closed:
                raise ConnectionAbortedError("the HTTP loop is closed")
            if self._running is None:
                self._running = _start()
                # Commands end without closing the loop.
                atexit.register(self.close)
            if self._running.thread is threading.current_thread():
                raise RuntimeError("run() would wait for its own thread: await the coroutine")
            return asyncio.run_coroutine_threadsafe(call, self._running.loop)


def _start() -> _Running:
    loop, sessions = asyncio.new_event_loop(), Sessions()
    thread = threading.Thread(target=_serve, args=(loop, sessions), name="http", daemon=True)
    thread.start()
    return _Running(loop, thread, sessions)


def _serve(loop: asyncio.AbstractEventLoop, sessions: Sessions) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_end(sessions))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _end(sessions: Sessions) -> None:
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for session in sessions.values():
        await session.close()
    # Closed connections are released a few iterations later.
    for _ in range(3):
        await asyncio.sleep(0)


_loops: WeakSet[HttpLoop] = WeakSet()


def _forget_parents() -> None:
    for loop in list(_loops):
        loop.forget_parent()


os.register_at_fork(after_in_child=_forget_parents)
