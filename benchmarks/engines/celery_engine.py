"""Celery with the applicable brokers: Redis, RabbitMQ, and SQLAlchemy on SQLite.

https://docs.celeryq.dev/en/stable/userguide/tasks.html
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.connection import Connection

from benchmarks.engines.engine import (
    DEAD_SECONDS,
    RABBITMQ,
    REDIS,
    THREADS,
    Engine,
    Job,
    Storage,
)
from benchmarks.engines.lane_job import Record
from benchmarks.engines.rows import Rows

# Not typed.
_connect: Any = Connection


class CeleryEngine(Engine):
    """As durable as a broker allows: late acknowledgement, publisher confirms.

    Redis takes a job from a dead worker after the visibility timeout. It is one hour by default and
    set to the time of Bellhop's worker here.
    """

    def __init__(self, storage: Storage, broker: str) -> None:
        super().__init__(storage)
        self._broker = broker
        self._queue = f"bake_off_{storage.name}"
        self._record = Record(storage)
        self._rows = Rows(storage.url("sqlite"))

    def set_up(self) -> None:
        self._rows.create()
        self.tear_down()
        if self._broker == "sqlite":
            # If two workers find no queue at their start, one of them exits.
            with self._connection() as connection:
                connection.SimpleQueue(self._queue).close()

    def open(self) -> None:
        self._app: Any = Celery("bake_off", broker=self._url())
        self._app.conf.update(
            broker_transport_options=self._transport_options(),
            task_default_queue=self._queue,
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            task_ignore_result=True,
            worker_prefetch_multiplier=1,
        )
        self._task = self._app.task(name="lane_job")(self._record.function(self._again))

    def enqueue(self, job: Job) -> None:
        self._task.apply_async(job.arguments())

    def accept(self, job: Job, *, fail: bool = False) -> None:
        self._rows.accept_apart(job, self.enqueue, fail=fail)

    def work(self, worker_id: str) -> None:
        quiet = ["--without-gossip", "--without-mingle", "--loglevel=ERROR"]
        name = f"--hostname={worker_id}@{self.storage.name}"
        threads = ["--pool=threads", f"--concurrency={THREADS}"]
        self._app.worker_main(["worker", name, *threads, *quiet])

    def left(self) -> int:
        with self._connection() as connection:
            channel: Any = connection.channel()
            queued = int(channel.queue_declare(self._queue, passive=True).message_count)
            held = channel.client.hlen(channel.unacked_key) if self._broker == "redis" else 0
            return queued + int(held)

    def tear_down(self) -> None:
        if self._broker == "sqlite":
            return
        with self._connection() as connection:
            connection.channel().queue_delete(self._queue)
        if self._broker == "redis":
            with _connect(REDIS) as connection:
                client: Any = connection.channel().client
                for key in client.scan_iter(f"{self._queue}:*"):
                    client.delete(key)

    def _connection(self) -> Any:
        return _connect(self._url(), transport_options=self._transport_options())

    def _url(self) -> str:
        return {
            "redis": REDIS,
            "rabbitmq": RABBITMQ,
            "sqlite": f"sqla+sqlite:///{self.storage.directory / 'celery.db'}",
        }[self._broker]

    def _transport_options(self) -> dict[str, Any]:
        if self._broker == "redis":
            return {
                "global_keyprefix": f"{self._queue}:",
                "visibility_timeout": DEAD_SECONDS,
                "unacked_restore_interval": DEAD_SECONDS / 4,
                "unacked_restore_throttle": 1,
            }
        # The SQLAlchemy transport polls once a second: it passes every option on to
        # `create_engine`, which rejects the option that would change it.
        return {"confirm_publish": True} if self._broker == "rabbitmq" else {}

    def _again(self, job: Job, delay: float) -> None:
        self._task.apply_async(job.arguments(), countdown=delay)
