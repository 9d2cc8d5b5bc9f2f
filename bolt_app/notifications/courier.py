"""The queue of a worker's threads: hands out jobs, and makes the rounds for all of them.

Whichever thread finds nothing to do makes the round for the others: what several threads have done,
and what several wait for, is one transaction. While nothing is due it waits for a wake-up, for the
next moment something is due, or for a thread that comes back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from bolt_app.clock import Clock, utc_now
from bolt_app.db import DATABASE_DOWN
from bolt_app.logs import describe_error
from bolt_app.notifications.jobs import Done, Found, Job, untouched
from bolt_app.notifications.outcomes import Outcome
from bolt_app.notifications.rounds import Round, Rounds

logger = logging.getLogger(__name__)

# While much is going on, what comes back within so long is one round.
ROUND_SECONDS = 0.01
# In case a wake-up was missed.
LONGEST_WAIT_SECONDS = 1.0
# Where something is due that cannot be had: another worker is at it, or a workspace has its share.
SHORTEST_WAIT_SECONDS = 0.02
DATABASE_DOWN_WAIT_SECONDS = 1.0
# So often a thread that waits looks whether there is something else for it.
LONGEST_TAKE_SECONDS = 30.0


class Courier:
    """Hands the jobs of one worker to its threads."""

    def __init__(
        self,
        rounds: Rounds,
        worker_id: Callable[[], str],
        *,
        threads: int,
        clock: Clock = utc_now,
    ) -> None:
        self._rounds = rounds
        self._worker_id = worker_id
        self._clock = clock
        # No workspace takes all threads: there is room for the others however slow Slack is for it.
        self._at_most_each = max(1, threads - threads // 4)
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._news = threading.Condition(lock)
        self._ready: deque[Job] = deque()
        self._done: list[Done] = []
        self._running: Counter[str] = Counter()
        self._lanes: set[int] = set()
        # Whether a round was begun of which nobody knows what came of it.
        self._is_unsure = False
        self._idle = 0
        self._leading = False
        self._has_news = False
        self._stopped = False
        self._made_at = float("-inf")

    def take(self) -> Job | None:
        """Wait for a job; None where there is none for a while, or the worker stops."""
        with self._work:
            self._idle += 1
            try:
                while not self._ready and not self._stopped and self._leading:
                    if not self._work.wait(LONGEST_TAKE_SECONDS):
                        return None
                if self._stopped:
                    return None
                if self._ready:
                    return self._ready.popleft()
                self._leading = True
            finally:
                self._idle -= 1
        try:
            return self._lead()
        finally:
            with self._work:
                self._leading = False
                self._work.notify()

    def finish(self, job: Job, result: Outcome | Found) -> None:
        """Tell what came of a job; it is written down with the next round."""
        with self._news:
            self._done.append(Done(job, result, self._clock()))
            self._tell()

    def wake(self) -> None:
        """Let a round be made soon: something may have been accepted."""
        with self._news:
            self._tell()

    def stop(self) -> None:
        """Hand out no more jobs."""
        with self._news:
            self._stopped = True
            self._work.notify_all()
            self._tell()

    def close(self) -> None:
        """Write down what the threads have done last, and give back what none of them has begun.

        They must have ended.
        """
        with self._news:
            left = [Done(job, untouched(job.attempt), self._clock()) for job in self._ready]
            done, self._done = [*self._done, *left], []
            self._ready.clear()
        if done:
            self._rounds.run(self._worker_id(), done, most=0, at_most_each=0, room={})

    def _tell(self) -> None:
        self._has_news = True
        self._news.notify()

    def _lead(self) -> Job | None:
        began = time.monotonic()
        while True:
            with self._news:
                if self._stopped:
                    return None
                self._gather()
                self._has_news = False
                done, self._done = self._done, []
                most = self._idle + 1 - len(self._ready)
                room = self._room(done)
            made = self._make(done, most, room)
            self._made_at = time.monotonic()
            with self._news:
                self._running.update(job.lane.team_id for job in made.jobs)
                self._lanes.update(job.lane.id for job in made.jobs)
                self._ready.extend(made.jobs)
                if self._ready and not self._stopped:
                    job = self._ready.popleft()
                    self._work.notify(len(self._ready))
                    return job
                if self._has_news or self._news.wait(_wait(made.seconds_until_due)):
                    continue
                if time.monotonic() - began > LONGEST_TAKE_SECONDS:
                    return None

    def _gather(self) -> None:
        """Let others come back too, where the last round was a moment ago."""
        ends = self._made_at + ROUND_SECONDS
        while self._running and not self._stopped and (left := ends - time.monotonic()) > 0:
            self._news.wait(left)

    def _room(self, done: list[Done]) -> dict[str, int]:
        self._lanes.difference_update(one.job.lane.id for one in done)
        self._running.subtract(one.job.lane.team_id for one in done)
        self._running = +self._running
        return {team_id: self._at_most_each - n for team_id, n in self._running.items()}

    def _make(self, done: list[Done], most: int, room: dict[str, int]) -> Round:
        try:
            if self._is_unsure:
                self._find_out(done)
                done = []
            return self._rounds.run(
                self._worker_id(), done, most=most, at_most_each=self._at_most_each, room=room
            )
        except DATABASE_DOWN as error:
            logger.warning("the database is not answering", extra={"error": describe_error(error)})
        except Exception:
            logger.exception("a round failed")
        with self._news:
            # Not written as yet, as far as is known, and to be tried again with the next round.
            self._is_unsure = True
            self._done[:0] = done
            self._running.update(one.job.lane.team_id for one in done)
            self._lanes.update(one.job.lane.id for one in done)
            self._has_news = False
        return Round([], DATABASE_DOWN_WAIT_SECONDS)

    def _find_out(self, done: list[Done]) -> None:
        """Write down what is not written, and give back what was leased without our knowing."""
        worker_id = self._worker_id()
        if done:
            self._rounds.run(worker_id, done, most=0, at_most_each=0, room={})
        with self._news:
            keep = set(self._lanes)
        self._rounds.give_back(worker_id, keep)
        self._is_unsure = False


def _wait(seconds_until_due: float | None) -> float:
    if seconds_until_due is None:
        return LONGEST_WAIT_SECONDS
    return min(max(seconds_until_due, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
