"""DBOS Transact, on SQLite and on PostgreSQL, without its hosted Conductor.

https://docs.dbos.dev/python/tutorials/queue-tutorial
"""

from __future__ import annotations

import threading
from typing import Any

from dbos import DBOS, DBOSClient, SetEnqueueOptions
from sqlalchemy import create_engine, text

from benchmarks.engines.engine import (
    PACE_SECONDS,
    POLL_SECONDS,
    Engine,
    Job,
    Storage,
)
from benchmarks.engines.lane_job import Record
from benchmarks.engines.rows import Rows

VERSION = "bake-off"
QUEUE = "lanes"
# The number of jobs taken in each poll: with the 8 threads of other engines the limit would be 80 a
# second.
AT_ONCE = 64
_UNFINISHED = "status IN ('ENQUEUED', 'DELAYED', 'PENDING')"


class DBOSEngine(Engine):
    """A partition of one queue is a lane, and one workflow at a time may run in it.

    Args:
        limiter: DBOS paces the lanes: a workflow for each message, a limiter for each partition.
    """

    def __init__(self, storage: Storage, database: str, *, limiter: bool = False) -> None:
        super().__init__(storage)
        self._database = database
        self._limiter = limiter
        self._url = storage.url(database)
        self._record = Record(storage)
        self._rows = Rows(storage.url(database, "+psycopg"))

    def set_up(self) -> None:
        if self._database == "postgresql":
            self.storage.create_database()
        self._rows.create()
        self._launch("setup")
        pace: Any = {"limit": 1, "period": PACE_SECONDS} if self._limiter else None
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=AT_ONCE,
            partition_concurrency=1,
            partition_limiter=pace,
            polling_interval_sec=POLL_SECONDS,
        )
        DBOS.destroy()

    def open(self) -> None:
        self._client = DBOSClient(
            system_database_url=self._url, application_name=VERSION, system_database_pool_size=16
        )

    def enqueue(self, job: Job) -> None:
        for one in job.alone() if self._limiter else [job]:
            self._client.enqueue(self._options(one), *one.arguments())

    def accept(self, job: Job, *, fail: bool = False) -> None:
        with self._rows.writing(job, fail=fail) as connection:
            self._client.enqueue_in_transaction(connection, self._options(job), *job.arguments())

    def work(self, worker_id: str) -> None:
        self._launch(worker_id)
        threading.Event().wait()

    def left(self) -> int:
        table = "workflow_status" if self._database == "sqlite" else "dbos.workflow_status"
        count = text(f"SELECT count(*) FROM {table} WHERE {_UNFINISHED}")  # noqa: S608
        engine = create_engine(self.storage.url(self._database, "+psycopg"))
        with engine.connect() as connection:
            return int(connection.execute(count).scalar_one())

    def tear_down(self) -> None:
        if self._database == "postgresql":
            self.storage.drop_database()

    def _launch(self, worker_id: str) -> None:
        config: Any = {
            "name": VERSION,
            "system_database_url": self._url,
            "application_version": VERSION,
            "executor_id": worker_id,
            "log_level": "ERROR",
        }
        DBOS(config=config)
        self._workflow = DBOS.workflow(name="lane_job")(self._record.function(self._again))
        DBOS.launch()

    def _options(self, job: Job) -> Any:
        return {
            "workflow_name": "lane_job",
            "queue_name": QUEUE,
            "queue_partition_key": job.lane,
            "app_version": VERSION,
        }

    def _again(self, job: Job, delay: float) -> None:
        with SetEnqueueOptions(queue_partition_key=job.lane, delay_seconds=delay):
            DBOS.enqueue_workflow(QUEUE, self._workflow, *job.arguments())
