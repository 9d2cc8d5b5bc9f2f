"""Bellhop's own: rows of ours, run by Huey's consumer. Slack is left out, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import cast

from bolt_app.notifications.courier import Courier
from bolt_app.notifications.finding import Finding
from bolt_app.notifications.jobs import Attempt
from bolt_app.notifications.outcomes import Outcome
from bolt_app.notifications.pacing import Pace
from bolt_app.notifications.pulse import Pulse
from bolt_app.notifications.rounds import Rounds
from bolt_app.notifications.sending import Sending
from bolt_app.notifications.worker import DeliveryWorker
from cryptography.fernet import Fernet
from sqlalchemy import Connection, func, select

from benchmarks.engines.engine import (
    DEAD_SECONDS,
    THREADS,
    Engine,
    Job,
    Place,
    RolledBackError,
)
from benchmarks.engines.lane_job import Record
from bolt_app.db import Database
from bolt_app.db.models import IS_OPEN, Delivery
from bolt_app.db.schema import upgrade
from bolt_app.delays import Delays
from bolt_app.notifications.acceptance import Acceptance, Sender
from bolt_app.notifications.requests import NotificationRequest
from bolt_app.notifications.wakeup import open_wakeup

_KEYS = [Fernet.generate_key().decode()]
SENDER = Sender("T0BAKEOFF", "api_key:1")
# A workspace is not what is measured.
PACE = Pace(channel_interval=timedelta(seconds=1), team_per_minute=600_000)
_UNFINISHED = select(func.count()).select_from(Delivery).where(IS_OPEN)


class BellhopEngine(Engine):
    """What `bolt_app.delivery` wires, with a Slack that takes every message at once."""

    def __init__(self, place: Place, database: str) -> None:
        super().__init__(place)
        self._kind = database
        self._url = place.url(database, "+psycopg")
        self._record = Record(place)

    def set_up(self) -> None:
        if self._kind == "postgresql":
            self.place.create_database()
        database = Database(self._url, _KEYS)
        upgrade(database)
        database.close()

    def open(self) -> None:
        self._database = Database(self._url, _KEYS)
        self._acceptance = Acceptance(self._database, open_wakeup(self._database))
        failing = _FailingDatabase(self._url, _KEYS)
        self._failing = Acceptance(failing, open_wakeup(failing))

    def enqueue(self, job: Job) -> None:
        for one in job.alone():
            self.accept(one)

    def accept(self, job: Job, *, fail: bool = False) -> None:
        text = " ".join(map(str, job.arguments()))
        request = NotificationRequest.model_validate({"to": [job.lane], "text": text})
        (self._failing if fail else self._acceptance).accept(SENDER, [request])

    def work(self, worker_id: str) -> None:
        database = Database(self._url, _KEYS)
        pulse = Pulse(database, dead_seconds=DEAD_SECONDS)
        rounds = Rounds(database, pace=PACE, public_url="http://127.0.0.1")
        sending, finding = _NoSlack(self._record), cast(Finding, None)
        courier = Courier(rounds, pulse.worker_id, threads=THREADS)
        wakeup = open_wakeup(database)
        DeliveryWorker(
            courier,
            pulse,
            wakeup,
            sending,
            finding,
            threads=THREADS,
            delays=Delays(),
            chores={},
            minutely={},
        ).run()

    def left(self) -> int:
        with self._database.reading_connection() as connection:
            return int(connection.execute(_UNFINISHED).scalar_one())

    def tear_down(self) -> None:
        if self._kind == "postgresql":
            self.place.drop_database()


class _NoSlack(Sending):
    """In the place of `Sending`: the bake-off's job for a call of Slack's."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def make(self, attempt: Attempt, may_send: Callable[[], bool] = lambda: True) -> Outcome:
        if not may_send():
            return Outcome("waiting" if attempt.tried_at is None else "sending")
        lane, number, of, hold = attempt.content["text"].split()
        self._record.run(Job(lane, int(number), int(of), float(hold)))
        return Outcome("sent", channel_id=lane, ts="1.0", posted=True)


class _FailingDatabase(Database):
    """Every transaction comes to nothing, at the last moment."""

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        with super().writing_connection() as connection:
            yield connection
            raise RolledBackError
