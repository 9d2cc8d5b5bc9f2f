"""The delivery worker: Huey runs it, on lanes for a queue.

Huey's consumer (https://huey.readthedocs.io/en/latest/consumer.html) has the threads, replaces
those that die, keeps the timetable of periodic work and stops gracefully. What it asks for work is
its storage, and ours is the courier: lanes leased from the database, so that what is accepted and
what is enqueued are the same rows in the same transaction.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from huey import Huey, crontab
from huey.consumer import Consumer, Scheduler
from huey.storage import BlackHoleStorage

from bolt_app.delays import Delays
from bolt_app.notifications.courier import Courier
from bolt_app.notifications.finding import Finding
from bolt_app.notifications.jobs import Found, Job
from bolt_app.notifications.outcomes import Outcome, backoff
from bolt_app.notifications.pulse import Pulse
from bolt_app.notifications.sending import Sending
from bolt_app.notifications.wakeup import Wakeup

logger = logging.getLogger(__name__)

# Enough for everything that Slack has not answered yet to be answered or given up.
STOP_SECONDS = 15


class _AsItIs:
    """A serializer for a queue that no task leaves the process by."""

    def serialize(self, data: Any) -> Any:
        return data

    def deserialize(self, data: Any) -> Any:
        return data


class _CourierStorage(BlackHoleStorage):
    """Where Huey's threads take their tasks from: the courier, and what the timetable adds."""

    blocking = True

    def __init__(self, name: str, *, courier: Courier, pulse: Pulse) -> None:
        super().__init__(name)
        self.courier = courier
        self.pulse = pulse
        self._chores: deque[Any] = deque()
        self.as_message: Callable[[Job], Any] = lambda job: job

    def enqueue(self, data: Any, priority: float | None = None) -> None:
        """Add a periodic task: one of the threads takes it within some seconds."""
        self._chores.append(data)

    def dequeue(self) -> Any:
        """Wait for what is to be done next; None where nothing is for now."""
        if self._chores:
            return self._chores.popleft()
        job = self.courier.take()
        return None if job is None else self.as_message(job)


class _Timetable(Scheduler):
    """Huey's timetable, which also keeps the pulse."""

    def loop(self, now: Any = None) -> None:
        self.huey.storage.pulse.beat()
        super().loop(now)


class _Consumer(Consumer):
    """Huey's consumer, for the main thread or any other."""

    scheduler_class = _Timetable

    def stop(self, graceful: bool = False) -> None:
        """Let nothing more begin, and where it is `graceful` wait for what has."""
        self.huey.storage.courier.stop()
        super().stop(graceful)

    def _set_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            # Huey would replace the process, which is not its own.
            self._signal_actions.pop(signal.SIGHUP, None)
            super()._set_signal_handlers()


class DeliveryWorker:
    """Delivers what waits in lanes, until it is stopped."""

    def __init__(
        self,
        courier: Courier,
        pulse: Pulse,
        wakeup: Wakeup,
        sending: Sending,
        finding: Finding,
        *,
        threads: int,
        delays: Delays,
        chores: Mapping[str, Callable[[], object]],
        minutely: Mapping[str, Callable[[], object]],
    ) -> None:
        """Take what it works with.

        Args:
            chores: what is done every ten minutes, and once at the start.
            minutely: likewise, every minute.
        """
        self._courier = courier
        self._pulse = pulse
        self._wakeup = wakeup
        self._sending = sending
        self._finding = finding
        self._threads = threads
        self._delays = delays
        self._stopped = threading.Event()
        self._consumer = self._create_consumer(pulse, chores, minutely)
        self._running: threading.Thread | None = None

    def run(self) -> None:
        """Work in this thread's place until a signal says to stop."""
        watching = threading.Thread(
            target=self._wakeup.watch, args=(self._wake, self._stopped), name="wakeup"
        )
        watching.start()
        try:
            logger.info("delivering", extra={"threads": self._threads})
            self._consumer.run()
        finally:
            self._end()
            watching.join()

    def start(self) -> None:
        """Work in a thread of its own."""
        self._running = threading.Thread(target=self.run, name="delivery")
        self._running.start()

    def is_alive(self) -> bool:
        """Return whether the thread that `start` began is running."""
        return self._running is not None and self._running.is_alive()

    def stop(self) -> None:
        """Finish what is being sent, and end the thread that `start` began."""
        self._consumer.stop()
        if self._running is not None:
            self._running.join()

    def _wake(self, _team_id: str | None) -> None:
        self._courier.wake()

    def _end(self) -> None:
        self._stopped.set()
        self._wakeup.notify()
        self._consumer.stop(graceful=True)
        self._courier.close()
        self._pulse.end()

    def _create_consumer(
        self,
        pulse: Pulse,
        chores: Mapping[str, Callable[[], object]],
        minutely: Mapping[str, Callable[[], object]],
    ) -> Any:
        huey = Huey(
            "bellhop",
            results=False,
            serializer=_AsItIs(),
            storage_class=_CourierStorage,
            courier=self._courier,
            pulse=pulse,
        )
        deliver = huey.task()(self._deliver)
        huey.storage.as_message = lambda job: huey.serialize_task(deliver.s(job))
        for minute, those in (("*/10", chores), ("*", minutely)):
            for name, chore in those.items():
                # Once now, for what was left over.
                huey.periodic_task(crontab(minute=minute), name=name)(chore)()
        return _Consumer(
            huey,
            workers=self._threads,
            scheduler_interval=1,
            shutdown_timeout=STOP_SECONDS,
            graceful_signal="TERM",
        )

    def _deliver(self, job: Job) -> None:
        self._courier.finish(job, self._result(job))

    def _result(self, job: Job) -> Outcome | Found:
        attempt = job.attempt
        try:
            if attempt is None:
                return self._finding.find(job.lane)
            return self._sending.make(attempt, partial(self._pulse.is_sure, job.lane.worker_id))
        except Exception:
            logger.exception("an attempt failed")
            state = "waiting" if attempt is None else "sending"
            number = 1 if attempt is None else attempt.number
            return Outcome(state, "internal_error", wait=backoff(number, self._delays))
