"""Bellhop's engine and rows, without the calls to Slack."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from cryptography.fernet import Fernet
from sqlalchemy import Connection, func, select

from benchmarks.engines.engine import (
    DEAD_SECONDS,
    THREADS,
    Engine,
    Job,
    RolledBackError,
    Storage,
)
from benchmarks.engines.lane_job import Record
from bolt_app.clock import utc_now
from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.db.models import IS_OPEN, Delivery
from bolt_app.db.schema import upgrade
from bolt_app.delays import Delays
from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.attempts import Attempt
from bolt_app.notifications.delivery.dispatcher import Dispatcher
from bolt_app.notifications.delivery.outcomes import Outcome
from bolt_app.notifications.delivery.owner_clock import OwnerClock
from bolt_app.notifications.delivery.pacing import DeliveryLimits, RateLimit
from bolt_app.notifications.delivery.resolver import DestinationResolver
from bolt_app.notifications.delivery.sender import Check, MessageSender
from bolt_app.notifications.delivery.store import RETRY_FOR, Store
from bolt_app.notifications.delivery.timetable import Timetable
from bolt_app.notifications.delivery.transitions import Transitions
from bolt_app.notifications.delivery.worker import DeliveryWorker
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.queue.wakeup import open_wakeup
from bolt_app.worker import create_ownership

_KEYS = [Fernet.generate_key().decode()]
SENDER = Sender("T0BAKEOFF", "api_key:1")
# Limits of a workspace are not measured.
LIMITS = DeliveryLimits(
    workspace=RateLimit(60 / 600_000, burst=150_000), lane=RateLimit(1.0), in_flight=THREADS
)
_UNFINISHED = select(func.count()).select_from(Delivery).where(IS_OPEN)


class BellhopEngine(Engine):
    """The wiring of `bolt_app.worker`, with a Slack that accepts every message at once."""

    def __init__(self, storage: Storage, database: str) -> None:
        super().__init__(storage)
        self._kind = database
        self._url = storage.url(database, "+psycopg")
        self._record = Record(storage)

    def set_up(self) -> None:
        if self._kind == "postgresql":
            self.storage.create_database()
        database = Database(self._url, _KEYS)
        upgrade(database)
        database.close()

    def open(self) -> None:
        self._database = Database(self._url, _KEYS)
        self._acceptance = Intake(self._database, open_wakeup(self._database))
        failing = _FailingDatabase(self._url, _KEYS)
        self._failing = Intake(failing, open_wakeup(failing))

    def enqueue(self, job: Job) -> None:
        for single in job.alone():
            self.accept(single)

    def accept(self, job: Job, *, fail: bool = False) -> None:
        text = " ".join(map(str, job.arguments()))
        request = NotificationRequest.model_validate({"to": [job.lane], "text": text})
        (self._failing if fail else self._acceptance).submit(SENDER, [request])

    def work(self, worker_id: str) -> None:
        key, address = _KEYS[0], "http://127.0.0.1:9"
        delays = replace(Delays(), owner_silence=DEAD_SECONDS)
        settings = Settings(
            slack_client_id="1.1",
            slack_client_secret="",
            slack_signing_secret="",
            slack_base_url=address,
            database_url=self._url,
            public_url=address,
            encryption_keys=(key,),
            session_secret="s" * 32,
            delays=delays,
        )
        database, http = Database(self._url, _KEYS), HttpLoop()
        ownership = create_ownership(settings, database)
        executor, wakeup = ThreadPoolExecutor(8), open_wakeup(database)
        dispatcher = Dispatcher(
            Store(database),
            Transitions(database, address),
            _NoSlack(self._record),
            cast(DestinationResolver, None),
            ownership,
            limits=LIMITS,
            delays=delays,
            retry_for=RETRY_FOR,
            executor=executor,
            notify=wakeup.notify,
            clock=OwnerClock(utc_now, time.monotonic),
        )
        timetable = Timetable([], lambda: False, poll=delays.poll, stopping=threading.Event())
        DeliveryWorker(dispatcher, timetable, http, wakeup, executor).run()

    def left(self) -> int:
        with self._database.reading_connection() as connection:
            return int(connection.execute(_UNFINISHED).scalar_one())

    def tear_down(self) -> None:
        if self._kind == "postgresql":
            self.storage.drop_database()


class _NoSlack(MessageSender):
    """Replaces the sender: the bake-off's job for a call to Slack."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def send(self, attempt: Attempt, check: Check) -> Outcome:
        await check()
        lane, number, of, hold = attempt.content["text"].split()
        job = Job(lane, int(number), int(of), float(hold))
        await asyncio.to_thread(self._record.run, job)
        return Outcome(DeliveryState.SENT, channel_id=lane, ts="1.0")


class _FailingDatabase(Database):
    """A database that rolls back every transaction just before its commit."""

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        with super().writing_connection() as connection:
            yield connection
            raise RolledBackError
