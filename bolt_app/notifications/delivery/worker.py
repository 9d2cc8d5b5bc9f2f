"""The delivery worker: one coroutine that delivers until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from types import FrameType

from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.delivery.dispatcher import Dispatcher
from bolt_app.notifications.delivery.errors import OwnershipError
from bolt_app.notifications.delivery.timetable import Timetable
from bolt_app.notifications.queue.wakeup import Wakeup

logger = logging.getLogger(__name__)

# Enough for all requests in flight to be answered or to time out.
STOP_SECONDS = 15.0


class DeliveryWorker:
    """Delivers for owned workspaces, in a separate process or beside the web pages."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        timetable: Timetable,
        http: HttpLoop,
        wakeup: Wakeup,
        executor: Executor,
    ) -> None:
        self._dispatcher = dispatcher
        self._timetable = timetable
        self._http = http
        self._wakeup = wakeup
        self._executor = executor
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Deliver until `stop` is called or, in the main thread, SIGTERM or SIGINT arrives.

        Raises:
            OwnershipError: the setup does not allow safe ownership.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._handle_signal)
        future = self._http.submit(self._work())
        watching = threading.Thread(target=self._watch, name="wakeup")
        watching.start()
        try:
            logger.info("delivering")
            future.result()
        finally:
            self._stopped.set()
            self._wakeup.notify()
            watching.join()
            self._timetable.close()
            self._executor.shutdown()

    def start(self) -> None:
        """Deliver in a new thread."""
        self._thread = threading.Thread(target=self._run_in_thread, name="delivery")
        self._thread.start()

    def _run_in_thread(self) -> None:
        try:
            self.run()
        except OwnershipError as error:
            logger.critical("nothing is delivered: %s", error)

    def is_alive(self) -> bool:
        """Return whether the thread that `start` began is running."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Finish the messages in flight, and end `run`."""
        self._stop_soon()
        if self._thread is not None:
            self._thread.join()

    def _handle_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_soon()

    def _stop_soon(self) -> None:
        self._stopped.set()
        self._call(self._stopping.set)
        self._call(self._dispatcher.notice, None)

    def _call(self, function: Callable[..., object], *given: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function, *given)

    def _watch(self) -> None:
        self._wakeup.watch(self._notice, self._stopped)

    def _notice(self, team_id: str | None) -> None:
        self._call(self._dispatcher.notice, team_id)

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._stopped.is_set():
            return
        periodic = asyncio.create_task(self._timetable.run())
        try:
            while not self._stopping.is_set():
                await self._dispatcher.wait(await self._dispatcher.cycle())
        finally:
            periodic.cancel()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._dispatcher.leave()
            except TimeoutError:
                logger.warning("deliveries in flight are left to the next owner")
