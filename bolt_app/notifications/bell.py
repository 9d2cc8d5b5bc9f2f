"""Tells workers, in any process, that something was accepted.

Whoever misses it looks again within a second; the bell only makes it quick. On PostgreSQL it is
LISTEN and NOTIFY, sent after the commit and not within it, because transactions that notify commit
one after the other. On SQLite `data_version` says whether anybody else has committed; asking it
costs some microseconds.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import func, select

from bolt_app.db import DATABASE_DOWN, Database
from bolt_app.logs import describe_error

logger = logging.getLogger(__name__)

CHANNEL = "bellhop_accepted"
POLL_SECONDS = 0.04
RECONNECT_SECONDS = 1.0
_NOTIFY = select(func.pg_notify(CHANNEL, ""))


class Bell(ABC):
    """Rings when something was accepted, and calls whoever listens."""

    @abstractmethod
    def ring(self) -> None:
        """Wake the workers of every process."""

    @abstractmethod
    def watch(self, wake: Callable[[], None], stopped: threading.Event) -> None:
        """Call `wake` each time something may have been accepted, until `stopped` is set."""

    @abstractmethod
    def close(self) -> None:
        """Ring for what is still to be rung for."""


def open_bell(database: Database) -> Bell:
    """Return the bell of a database."""
    return SQLiteBell(database) if database.is_sqlite else PostgreSQLBell(database)


class SQLiteBell(Bell):
    """Asks for `PRAGMA data_version` (https://www.sqlite.org/pragma.html#pragma_data_version)."""

    def __init__(self, database: Database) -> None:
        self._path = str(database.engine.url.database)

    def ring(self) -> None:
        """Do nothing: the commit has done it."""

    def close(self) -> None:
        """Do nothing."""

    def watch(self, wake: Callable[[], None], stopped: threading.Event) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            before = _data_version(connection)
            while not stopped.wait(POLL_SECONDS):
                version = _data_version(connection)
                if version != before:
                    before = version
                    wake()
        finally:
            connection.close()


class PostgreSQLBell(Bell):
    """Listens and notifies (https://www.postgresql.org/docs/current/sql-notify.html)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rung = threading.Event()
        self._closed = False
        self._lock = threading.Lock()
        self._ringer: threading.Thread | None = None

    def ring(self) -> None:
        """Wake the workers: one thread notifies for all who ring meanwhile."""
        self._rung.set()
        if self._ringer is None:
            with self._lock:
                if self._ringer is None:
                    self._ringer = threading.Thread(
                        target=self._notify_all, name="bell", daemon=True
                    )
                    self._ringer.start()

    def close(self) -> None:
        self._closed = True
        if self._ringer is not None:
            self._rung.set()
            self._ringer.join()

    def watch(self, wake: Callable[[], None], stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                self._listen(wake, stopped)
            except psycopg.Error as error:
                logger.warning("the bell cannot be heard", extra={"error": describe_error(error)})
                stopped.wait(RECONNECT_SECONDS)

    def _listen(self, wake: Callable[[], None], stopped: threading.Event) -> None:
        url = self._database.engine.url.set(drivername="postgresql")
        address = url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            wake()  # for what was missed
            while not stopped.is_set():
                for _ in connection.notifies(timeout=1, stop_after=1):
                    wake()

    def _notify_all(self) -> None:
        closed = False
        while not closed:
            self._rung.wait()
            closed = self._closed
            self._rung.clear()
            self._notify()

    def _notify(self) -> None:
        try:
            with self._database.engine.connect() as connection:
                autocommitting = connection.execution_options(isolation_level="AUTOCOMMIT")
                autocommitting.execute(_NOTIFY)
        except DATABASE_DOWN as error:
            logger.warning("the bell cannot be rung", extra={"error": describe_error(error)})


def _data_version(connection: Any) -> int:
    [version] = connection.execute("PRAGMA data_version").fetchone()
    return int(version)
