"""Procrastinate on PostgreSQL; it does not support SQLite.

https://procrastinate.readthedocs.io/
"""

from __future__ import annotations

from typing import Any

import psycopg
from procrastinate import App, JobContext, PsycopgConnector, SyncPsycopgConnector

from benchmarks.engines.engine import DEAD_SECONDS, POLL_SECONDS, THREADS, Engine, Job, Storage
from benchmarks.engines.lane_job import Record
from benchmarks.engines.rows import Rows

_UNFINISHED = (
    b"SELECT count(*) FROM procrastinate_jobs"
    b" WHERE task_name = 'lane_job' AND status IN ('todo', 'doing')"
)


class ProcrastinateEngine(Engine):
    """A lane is a job's lock; a periodic task retries the jobs of dead workers.

    The task is the one in its documentation, with the times of Bellhop's worker:
    https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._record = Record(storage)
        self._rows = Rows(storage.url("postgresql", "+psycopg"))

    def set_up(self) -> None:
        self.storage.create_database()
        self._rows.create()
        self.open()
        self._app.schema_manager.apply_schema()

    def open(self) -> None:
        self._app = self._create_app(SyncPsycopgConnector)
        self._app.open()

    def enqueue(self, job: Job) -> None:
        self._defer(job)

    def accept(self, job: Job, *, fail: bool = False) -> None:
        with self._rows.writing(job, fail=fail) as connection:
            self._defer(job, connection=connection.connection.driver_connection)

    def work(self, worker_id: str) -> None:
        self._app = self._create_app(PsycopgConnector)
        stalled = self._app.task(queueing_lock="stalled", pass_context=True)(_retry_stalled)
        self._app.periodic(cron="* * * * * */5", periodic_id="retry_stalled")(stalled)
        self._app.run_worker(
            name=worker_id,
            concurrency=THREADS,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=DEAD_SECONDS / 4,
            stalled_worker_timeout=DEAD_SECONDS,
        )

    def left(self) -> int:
        with psycopg.connect(self.storage.url("postgresql")) as connection:
            row = connection.execute(_UNFINISHED).fetchone()
            return int(row[0]) if row else 0

    def tear_down(self) -> None:
        self.storage.drop_database()

    def _create_app(self, connector: Any) -> Any:
        url = self.storage.url("postgresql")
        app: Any = App(connector=connector(conninfo=url, min_size=1, max_size=16))
        self._task = app.task(name="lane_job")(self._record.function(self._again))
        return app

    def _defer(self, job: Job, **options: Any) -> None:
        lane, number, of, hold = job.arguments()
        configured = self._task.configure(lock=job.lane, **options)
        configured.defer(lane=lane, number=number, of=of, hold=hold)

    def _again(self, job: Job, delay: float) -> None:
        self._defer(job, schedule_in={"seconds": delay})


async def _retry_stalled(context: JobContext, timestamp: int) -> None:
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_SECONDS):
        await manager.retry_job(job)
