"""Workers that are alive show it, and look after those that are not.

A worker is alive while its `beat` in the database goes up. Who is dead is judged by how long the
watching worker itself, by a clock that nobody can set, has seen a beat stand still: the machines'
clocks need not agree, and may jump.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import DATABASE_DOWN, Database
from bolt_app.db.models import Worker
from bolt_app.logs import describe_error
from bolt_app.notifications.lanes import UNBELIEVABLE_WAIT, LaneKeeper

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
# A beat that stands still for so long is a dead worker's.
DEAD_SECONDS = 20.0
# A worker that could not beat for so long sends nothing: others are about to take its lanes over.
SURE_SECONDS = 10.0
CLOCK_TOLERANCE = timedelta(seconds=2)


class Pulse:
    """The beat of one worker, and its eye on the others."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        self._database = database
        self._keeper = LaneKeeper(database)
        self._clock = clock
        self._monotonic = monotonic
        self._dead_seconds = dead_seconds
        self._sure_seconds = dead_seconds * SURE_SECONDS / DEAD_SECONDS
        self._beat_seconds = dead_seconds * BEAT_SECONDS / DEAD_SECONDS
        self._lock = threading.Lock()
        self._worker_id = ""
        self._beaten_at = float("-inf")
        self._seen: dict[str, tuple[int, float]] = {}
        self._clock_offset: timedelta | None = None

    def worker_id(self) -> str:
        """Return the worker's id; it is another one after the worker was thought dead."""
        with self._lock:
            if not self._worker_id:
                self._worker_id = self._register()
            return self._worker_id

    def is_sure(self, worker_id: str) -> bool:
        """Whether nobody can have taken over what was leased to the worker by that id."""
        return (
            worker_id == self._worker_id
            and self._monotonic() - self._beaten_at < self._sure_seconds
        )

    def beat(self) -> None:
        """Beat if it is time, and take lanes back from workers that are dead.

        To be called about every second: so late, at most, a beat of another's is seen.
        """
        try:
            self._look_at_the_clock()
            if self._monotonic() - self._beaten_at >= self._beat_seconds:
                self._show_life()
            self._watch()
        except DATABASE_DOWN as error:
            logger.warning("no beat", extra={"error": describe_error(error)})

    def end(self) -> None:
        """Leave nothing behind: the worker stops."""
        if self._worker_id:
            self._keeper.take_back([self._worker_id], self._clock())

    def _register(self) -> str:
        worker_id = secrets.token_hex(8)
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._keeper.forget_waits(self._clock(), longer_than=UNBELIEVABLE_WAIT)
        began = self._monotonic()
        with self._database.writing() as session:
            session.execute(insert(Worker).values(id=worker_id, name=name, beat=0))
        self._beaten_at = began
        return worker_id

    def _show_life(self) -> None:
        worker_id, began = self.worker_id(), self._monotonic()
        if began - self._beaten_at > self._sure_seconds:
            # Whoever was out itself does not know who else was: it looks anew.
            self._seen.clear()
        with self._database.writing() as session:
            mine = update(Worker).where(Worker.id == worker_id)
            alive = session.execute(mine.values(beat=Worker.beat + 1).returning(Worker.id)).first()
        if alive is not None:
            self._beaten_at = began
            return
        logger.warning("this worker was thought dead, and begins anew")
        with self._lock:
            self._worker_id = ""
        self.worker_id()

    def _watch(self) -> None:
        now = self._monotonic()
        with self._database.reading() as session:
            beats = {id_: beat for id_, beat in session.execute(select(Worker.id, Worker.beat))}
        self._seen = {
            id_: self._seen[id_] if self._seen.get(id_, (None, 0))[0] == beat else (beat, now)
            for id_, beat in beats.items()
            if id_ != self._worker_id
        }
        dead = [id_ for id_, (_, since) in self._seen.items() if now - since >= self._dead_seconds]
        if dead:
            freed = self._keeper.take_back(dead, self._clock())
            logger.warning("workers are dead", extra={"workers": len(dead), "lanes": freed})

    def _look_at_the_clock(self) -> None:
        """Notice that the clock was set back, and rely on nothing written before."""
        now: datetime = self._clock()
        offset = now - datetime.fromtimestamp(self._monotonic(), now.tzinfo)
        before, self._clock_offset = self._clock_offset, offset
        if before is not None and offset < before - CLOCK_TOLERANCE:
            logger.warning("the clock was set back", extra={"by": str(before - offset)})
            self._keeper.forget_waits(now)
