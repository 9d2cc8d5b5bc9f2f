"""Huey with its SQLite and its PostgreSQL storage.

https://huey.readthedocs.io/en/latest/
"""

from __future__ import annotations

from typing import Any

from huey import PostgresHuey, SqliteHuey

from benchmarks.engines.engine import POLL_SECONDS, THREADS, Engine, Job, Storage
from benchmarks.engines.lane_job import Record
from benchmarks.engines.rows import Rows


class HueyEngine(Engine):
    """Huey; its SQLite storage is a separate file, because it does not share connections."""

    def __init__(self, storage: Storage, database: str) -> None:
        super().__init__(storage)
        self._database = database
        self._record = Record(storage)
        self._rows = Rows(storage.url(database, "+psycopg"))

    def set_up(self) -> None:
        if self._database == "postgresql":
            self.storage.create_database()
        self._rows.create()
        self.open()

    def open(self) -> None:
        if self._database == "sqlite":
            filename = str(self.storage.directory / "huey.db")
            self._huey: Any = SqliteHuey("lanes", filename=filename, results=False, timeout=15)
        else:
            dsn = self.storage.url("postgresql")
            self._huey = PostgresHuey("lanes", dsn=dsn, results=False)
        self._task = self._huey.task(name="lane_job")(self._record.function(self._again))

    def enqueue(self, job: Job) -> None:
        self._task(*job.arguments())

    def accept(self, job: Job, *, fail: bool = False) -> None:
        self._rows.accept_apart(job, self.enqueue, fail=fail)

    def work(self, worker_id: str) -> None:
        self._huey.create_consumer(
            workers=THREADS,
            initial_delay=POLL_SECONDS,
            max_delay=POLL_SECONDS,
            scheduler_interval=1,
        ).run()

    def left(self) -> int:
        return int(self._huey.pending_count() + self._huey.scheduled_count())

    def tear_down(self) -> None:
        if self._database == "postgresql":
            self.storage.drop_database()

    def _again(self, job: Job, delay: float) -> None:
        self._task.schedule(job.arguments(), delay=delay)
