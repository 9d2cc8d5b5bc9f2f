"""Engines, sessions and transactions on SQLite and PostgreSQL."""

from __future__ import annotations

import logging
import select
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from bolt_app.db.encryption import Cipher, use_cipher
from bolt_app.db.prepared import CompiledSelect, PreparedSelect, Values
from bolt_app.db.process_lock import ProcessLock
from bolt_app.private_files import make_parent, make_private_file, take_from_others

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 5
# How long the worker lets writers wait for readers, to empty the write-ahead log.
CHECKPOINT_SECONDS = 1
# How often a process empties the log after deletions that people can repeat.
FORGET_EVERY_SECONDS = 1
# An attempt does not wait for readers, and between two of them writers continue.
FORGET_ATTEMPTS = 5
FORGET_RETRY_SECONDS = 0.05
# A suspended transaction or a locked row must not block other transactions.
IDLE_SECONDS = 5
LOCK_SECONDS = 1
# A worker has two more, for ownership and for wakeups: 16 per process.
MOST_CONNECTIONS = 14
# How often a connection in use is checked with a query.
CHECK_SECONDS = 1.0
_READS = {"bellhop_reads": True}
_WRITES = {"bellhop_writes": True}
_CHECKED_AT = "checked_at"


class Database:
    """One database. `reading()` and `writing()` yield a session in a new transaction.

    Attributes:
        reading_engine: the engine of `reading_connection`.
    """

    def __init__(
        self,
        url: str,
        encryption_keys: Sequence[str],
        *,
        pool_size: int = 16,
        prepares: bool = True,
    ) -> None:
        """Open nothing yet.

        Args:
            prepares: whether PostgreSQL keeps prepared statements: behind a transaction pooler, a
                statement prepared in one session may be missing in the next.
        """
        self.engine = _build_engine(make_url(url), pool_size, prepares=prepares)
        self.reading_engine = (
            _build_sqlite_reading_engine(self.engine.url, pool_size)
            if self.is_sqlite
            else self.engine.execution_options(**_READS)
        )
        self.cipher = Cipher(encryption_keys)
        for engine in (self.engine, self.reading_engine):
            use_cipher(engine, self.cipher)
        self._writing_engine = self.engine.execution_options(**_WRITES)
        self.turn: AbstractContextManager[object] = (
            _Turn(BUSY_TIMEOUT_SECONDS) if self.is_sqlite else nullcontext()
        )
        self._line = (
            ProcessLock(Path(str(self.engine.url.database)), timeout=BUSY_TIMEOUT_SECONDS)
            if self.is_sqlite
            else None
        )
        self._may_forget = Lock()
        self._forgot_at: float | None = None
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._prepared: dict[PreparedSelect, CompiledSelect] = {}
        self._write = sessionmaker(self._writing_engine, expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session for reading; it is never committed."""
        with self._read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session whose changes are committed at the end, or rolled back on an error.

        On SQLite the transaction takes the write lock at its start, because a transaction that
        reads first cannot wait for another writer later. Threads and processes queue here, because
        SQLite polls for the lock instead of queueing writers.
        """
        with self._writes_alone(), self._write.begin() as session:
            yield session

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        """Yield a connection in a writing transaction like that of `writing`, without the ORM."""
        with self._writes_alone(), self._writing_engine.begin() as connection:
            yield connection

    @contextmanager
    def reading_connection(self) -> Iterator[Connection]:
        """Yield a connection for reading, outside a transaction.

        Each statement sees the latest committed data. Nothing may be written with it: on SQLite an
        attempt fails, and on PostgreSQL it would be committed.
        """
        with self.reading_engine.connect() as connection:
            yield connection

    def fetch(self, prepared: PreparedSelect, values: Values) -> list[Any]:
        """Return the rows of a prepared SELECT, read as with `reading_connection`."""
        engine = self.reading_engine
        # Listeners for an engine's statements must see all of them.
        if not engine.dispatch.before_cursor_execute:
            compiled = self._prepared.get(prepared)
            if compiled is None:
                compiled = self._prepared[prepared] = CompiledSelect(prepared, engine)
            # If the driver fails, SQLAlchemy repeats the read and raises its own error.
            with suppress(engine.dialect.loaded_dbapi.Error):
                return compiled.fetch(values)
        with self.reading_connection() as connection:
            return list(connection.execute(prepared.statement, dict(values)))

    def truncate_wal(self, *, wait_seconds: float = CHECKPOINT_SECONDS) -> bool:
        """Write the write-ahead log to the database file and truncate it (only on SQLite).

        The log contains deleted data until it is overwritten; `secure_delete` overwrites it in the
        database file. https://www.sqlite.org/pragma.html#pragma_wal_checkpoint

        Args:
            wait_seconds: how long it waits for readers, and all writers wait for it.

        Returns: whether the log is empty; it is not while another reader holds a snapshot. Errors
            are not raised, because the deletion is already committed.
        """
        if not self.is_sqlite:
            return True
        path = str(self.engine.url.database)
        try:
            # A separate connection outside a transaction; writers wait for it.
            with (
                self._writes_alone(),
                closing(sqlite3.connect(path, timeout=wait_seconds)) as connection,
            ):
                connection.isolation_level = None
                [is_busy, *_] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (sqlite3.Error, PoolTimeoutError):
            return False
        return not is_busy

    def forget_deleted(self) -> None:
        """Empty the write-ahead log after the commit of a deletion that people can repeat.

        All writers wait meanwhile, so it happens at most once in `FORGET_EVERY_SECONDS`; the worker
        empties the rest later, with `truncate_wal`.
        """
        if self.is_sqlite and self._take_forgetting():
            self.forget_erased()

    def forget_erased(self) -> None:
        """Empty the write-ahead log after the commit of the erasure of a person or workspace.

        Writers do not wait for readers. If one reads for longer, the worker empties the log later.
        """
        for attempt in range(FORGET_ATTEMPTS):
            if attempt:
                sleep(FORGET_RETRY_SECONDS)
            if self.truncate_wal(wait_seconds=0):
                return
        logger.info("the write-ahead log is in use; the worker empties it later")

    def _take_forgetting(self) -> bool:
        """Whether the log may be emptied now; it may then not be emptied again too soon."""
        now = monotonic()
        with self._may_forget:
            if self._forgot_at is not None and now - self._forgot_at < FORGET_EVERY_SECONDS:
                return False
            self._forgot_at = now
            return True

    def close(self) -> None:
        """Close every connection; one that is in use closes when it is returned."""
        for engine in (self.engine, self.reading_engine):
            # A disposed pool would keep it open.
            event.listen(engine, "checkin", _close_returned)
            engine.dispose()
        if self._line is not None:
            with self.turn:
                self._line.close()

    @contextmanager
    def _writes_alone(self) -> Iterator[None]:
        with self.turn, self._line or nullcontext():
            yield


def _close_returned(connection: DBAPIConnection | None, _record: object) -> None:
    # None if the server has closed it.
    if connection is not None:
        connection.close()


class _Turn:
    """A thread lock with the timeout of SQLite's lock."""

    def __init__(self, timeout: float) -> None:
        self._lock = Lock()
        self._timeout = timeout

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._timeout):
            raise PoolTimeoutError("another writer has kept the database for too long")

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


def _build_engine(url: URL, pool_size: int, *, prepares: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _build_sqlite_engine(url, pool_size)
    options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
    if not prepares:
        options["prepare_threshold"] = None
    engine = create_engine(
        url,
        pool_size=min(pool_size, MOST_CONNECTIONS),
        max_overflow=0,
        # The connections used last have the most prepared statements.
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args=options,
    )
    event.listen(engine, "connect", _prepare_postgresql_connection)
    event.listen(engine, "begin", _begin_postgresql_transaction)
    event.listen(engine, "checkin", _take_back)
    event.listen(engine, "checkout", _replace_if_lost)
    return engine


def _prepare_postgresql_connection(dbapi_connection: Any, _record: object) -> None:
    # Until a transaction begins: see below.
    dbapi_connection.autocommit = True
    # A machine that fails in the middle of a transaction must not keep its locks
    # (https://www.postgresql.org/docs/current/runtime-config-client.html).
    dbapi_connection.execute(
        f"SELECT set_config('idle_in_transaction_session_timeout', '{IDLE_SECONDS}s', false),"
        f" set_config('lock_timeout', '{LOCK_SECONDS}s', false)"
    )


def _begin_postgresql_transaction(connection: Connection) -> None:
    """Let the driver begin a transaction with the next statement, unless it is only for reading.

    For a read, a transaction costs two round trips more, and after a rollback psycopg drops the
    prepared statements of the connection.
    """
    if not connection.get_execution_options().get("bellhop_reads", False):
        driver_connection: Any = connection.connection.dbapi_connection
        driver_connection.autocommit = False


def _take_back(dbapi_connection: Any, _record: object) -> None:
    # None if it was closed.
    if dbapi_connection is not None:
        dbapi_connection.autocommit = True


def _replace_if_lost(dbapi_connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Check a pooled connection, unless that was done moments ago and it is silent.

    On a connection that the server or a proxy has closed there is something to read. The check also
    lets the server plan the prepared statements again: a plan for an almost empty table reads all
    of it, and would be used until autovacuum analyzes the table.
    """
    now = monotonic()
    try:
        if now - record.info.get(_CHECKED_AT, now) >= CHECK_SECONDS or _is_readable(
            dbapi_connection
        ):
            dbapi_connection.execute("DISCARD PLANS")
            record.info[_CHECKED_AT] = now
    except psycopg.Error as error:
        raise InvalidatePoolError from error
    record.info.setdefault(_CHECKED_AT, now)


def _is_readable(dbapi_connection: Any) -> bool:
    poll = select.poll()
    poll.register(dbapi_connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _build_sqlite_engine(url: URL, pool_size: int) -> Engine:
    _make_files_private(Path(str(url.database)))
    engine = _connect_sqlite(url, pool_size)
    event.listen(engine, "begin", _begin_sqlite_transaction)
    return engine


def _build_sqlite_reading_engine(url: URL, pool_size: int) -> Engine:
    """Return an engine whose connections begin no transaction and reject writes."""
    engine = _connect_sqlite(url, pool_size)
    event.listen(engine, "connect", _forbid_sqlite_writes)
    return engine


def _connect_sqlite(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
    )
    event.listen(engine, "connect", _prepare_sqlite_connection)
    return engine


def _make_files_private(path: Path) -> None:
    """Create the database file, whose mode SQLite copies to the files beside it."""
    make_parent(path)
    # SQLite reports a file that cannot be created when it opens it.
    with suppress(OSError):
        make_private_file(path)
    for suffix in ("-wal", "-shm", "-journal"):
        take_from_others(path.with_name(f"{path.name}{suffix}"))


def _prepare_sqlite_connection(dbapi_connection: Any, _record: object) -> None:
    # Disables the driver's transaction handling; `begin` below replaces it.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    # FULL: a commit survives a power failure, which WAL mode alone does not guarantee
    # (https://www.sqlite.org/pragma.html#pragma_synchronous).
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _forbid_sqlite_writes(dbapi_connection: Any, _record: object) -> None:
    # https://www.sqlite.org/pragma.html#pragma_query_only
    dbapi_connection.execute("PRAGMA query_only=ON")


def _begin_sqlite_transaction(connection: Connection) -> None:
    if connection.get_execution_options().get("bellhop_writes", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    # SQLite's deferred BEGIN takes no lock and cannot fail: calling the driver directly takes a
    # tenth of the time (https://www.sqlite.org/lang_transaction.html).
    driver_connection: Any = connection.connection.dbapi_connection
    driver_connection.execute("BEGIN")
