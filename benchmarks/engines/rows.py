"""The application's row for each job."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, Text, create_engine, event, insert

from benchmarks.engines.engine import Job, RolledBackError

_METADATA = MetaData()
_ACCEPTED = Table(
    "accepted",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("body", Text, nullable=False),
)
_BODY = '{"text": "The deploy of bellhop to production is done", "severity": "success"}'


class Rows:
    """The application's table; on SQLite as durable as Bellhop's (WAL, `synchronous=FULL`)."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_size=16)
        # SQLite's writers poll for the lock: the threads of a process queue here instead.
        self._turn: AbstractContextManager[object] = nullcontext()
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare)
            event.listen(self._engine, "begin", _begin)
            self._turn = Lock()

    def create(self) -> None:
        """Create the table."""
        _METADATA.create_all(self._engine)

    @contextmanager
    def writing(self, job: Job, *, fail: bool = False) -> Iterator[Connection]:
        """Insert the job's row, and commit it with the writes of the context."""
        with self._turn, self._engine.begin() as connection:
            row = {"id": secrets.token_hex(8), "lane": job.lane, "body": _BODY}
            connection.execute(insert(_ACCEPTED), row)
            yield connection
            if fail:
                raise RolledBackError

    def accept_apart(self, job: Job, enqueue: Callable[[Job], None], *, fail: bool) -> None:
        """Insert the row, and enqueue during its transaction but not as part of it."""
        with self.writing(job, fail=fail):
            enqueue(job)


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=15000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
