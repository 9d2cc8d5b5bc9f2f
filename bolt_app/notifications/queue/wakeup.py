"""Wakeups: signals to delivery workers in all processes that a workspace may have work.

A wakeup carries only a workspace's id: the rows are the truth, and a worker that misses a wakeup
finds them with its poll, once a second. On PostgreSQL it is a NOTIFY; on SQLite a datagram to a
Unix socket in a private folder beside the database.
"""

from __future__ import annotations

import logging
import os
import secrets
import select
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy import ARRAY, Text, bindparam, func, make_url
from sqlalchemy import select as select_rows

from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.db.libpq import libpq_address
from bolt_app.logs import describe_error
from bolt_app.private_files import FILE_MODE, make_private_folder

logger = logging.getLogger(__name__)

CHANNEL = "bellhop_accepted"
# How often a watcher checks whether to stop.
STOP_CHECK_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
# Linux queues at least so many datagrams for a socket before it refuses one
# (net.unix.max_dgram_qlen, https://man7.org/linux/man-pages/man7/unix.7.html).
SHORTEST_QUEUE = 10
LONGEST_SOCKET_PATH = 107 if os.path.isdir("/proc/self/fd") else 103
_ID_BYTES = 128
_NOTIFY = select_rows(
    func.pg_notify(CHANNEL, func.unnest(bindparam("team_ids", type_=ARRAY(Text))))
)

OnWake = Callable[[str | None], None]


class Wakeup(ABC):
    """Wakes the delivery workers of every process that uses the same database."""

    @abstractmethod
    def notify(self, team_id: str | None = None) -> None:
        """Wake all watchers. Call it after the commit, so that they see the rows.

        It returns at once and never raises: a lost wakeup is covered by the poll. Thread-safe.

        Args:
            team_id: the workspace that may have work; None: any.
        """

    @abstractmethod
    def watch(self, on_wake: OnWake, stopped: threading.Event) -> None:
        """Call `on_wake` for each wakeup until `stopped` is set, in this thread.

        It checks `stopped` at each wakeup and once a second; call `notify` after setting it to end
        sooner. Each process may watch, in one thread, after any fork.

        Args:
            on_wake: takes the workspace's id, or None if any workspace may have work: at the start,
                and after wakeups may have been lost. It must be quick and must not raise.
        """

    @abstractmethod
    def close(self) -> None:
        """Send pending wakeups, and free all resources."""


def open_wakeup(database: Database, session_url: str | None = None) -> Wakeup:
    """Return the wakeups of a database.

    Args:
        session_url: PostgreSQL's direct address, if the database's is a pooler.
    """
    if database.is_sqlite:
        return SocketWakeup(Path(str(database.engine.url.database)))
    return PostgreSQLWakeup(database, session_url)


class SocketWakeup(Wakeup):
    """Datagrams between processes on one machine (https://man7.org/linux/man-pages/man7/unix.7.html).

    Each watcher has a socket in a private folder beside the database. A sender sends to all of them
    without blocking.
    """

    def __init__(self, database: Path) -> None:
        path = database.resolve()
        self._folder = path.with_name(f"{path.name}-wakeup")
        self._sender = _create_socket()

    def notify(self, team_id: str | None = None) -> None:
        message = (team_id or "").encode()
        # Without the folder nobody watches; a watcher with a full queue reads all workspaces.
        with suppress(OSError), _open_folder(self._folder) as folder:
            for name in os.listdir(folder):
                with suppress(OSError):
                    self._sender.sendto(message, _address(self._folder, name, folder))

    def watch(self, on_wake: OnWake, stopped: threading.Event) -> None:
        try:
            receiver, path = self._bind()
        except OSError as error:
            logger.warning(
                "no wakeup socket can be opened in %s: workers poll once a second",
                self._folder,
                extra={"error": describe_error(error)},
            )
            on_wake(None)
            stopped.wait()
            return
        try:
            with closing(receiver):
                on_wake(None)
                while not stopped.is_set():
                    for team_id in _receive(receiver):
                        on_wake(team_id)
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        self._sender.close()

    def _bind(self) -> tuple[socket.socket, Path]:
        """Open a socket, and remove those of dead watchers; return the socket and its path."""
        make_private_folder(self._folder)
        name = secrets.token_hex(8)
        draft, path = self._folder / f".{name}", self._folder / name
        receiver = _create_socket()
        try:
            with _open_folder(self._folder) as folder:
                self._remove_dead(folder)
                receiver.bind(_address(self._folder, draft.name, folder))
            draft.chmod(FILE_MODE)
            # Renamed once it is bound: until then others would take it for a dead one.
            draft.rename(path)
        except OSError:
            receiver.close()
            raise
        return receiver, path

    def _remove_dead(self, folder: int) -> None:
        for name in os.listdir(folder):
            try:
                with closing(_create_socket()) as probe:
                    probe.connect(_address(self._folder, name, folder))
            except ConnectionRefusedError:
                if not name.startswith("."):
                    (self._folder / name).unlink(missing_ok=True)
            except FileNotFoundError:
                continue


class PostgreSQLWakeup(Wakeup):
    """LISTEN and NOTIFY (https://www.postgresql.org/docs/current/sql-notify.html).

    NOTIFY is sent after the commit and not within it, because transactions that notify commit one
    after the other. One thread sends for all callers.
    """

    def __init__(self, database: Database, session_url: str | None = None) -> None:
        self._session_url = session_url
        self._database = database
        self._changed = threading.Condition()
        self._pending: set[str] = set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def notify(self, team_id: str | None = None) -> None:
        with self._changed:
            self._pending.add(team_id or "")
            self._changed.notify()
            if self._thread is None and not self._closed:
                # A daemon, so that a failing command can exit.
                self._thread = threading.Thread(target=self._send_all, name="wakeup", daemon=True)
                self._thread.start()

    def watch(self, on_wake: OnWake, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                self._listen(on_wake, stopped)
            except psycopg.Error as error:
                logger.warning("no wakeups can be received", extra={"error": describe_error(error)})
                stopped.wait(RECONNECT_SECONDS)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _listen(self, on_wake: OnWake, stopped: threading.Event) -> None:
        url = (
            self._database.engine.url if self._session_url is None else make_url(self._session_url)
        )
        with psycopg.connect(libpq_address(url), autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            on_wake(None)
            while not stopped.is_set():
                for notice in connection.notifies(timeout=STOP_CHECK_SECONDS, stop_after=1):
                    on_wake(notice.payload or None)

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                team_ids, self._pending = self._pending, set()
            if not team_ids:
                return
            self._send(sorted(team_ids))

    def _send(self, team_ids: list[str]) -> None:
        try:
            # Without a transaction, it is sent at once.
            with self._database.reading_connection() as connection:
                connection.execute(_NOTIFY, {"team_ids": team_ids})
        except DATABASE_UNAVAILABLE as error:
            logger.warning("no wakeup can be sent", extra={"error": describe_error(error)})


def _create_socket() -> socket.socket:
    created = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    created.setblocking(False)
    return created


@contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def _address(folder: Path, name: str, descriptor: int) -> str:
    """Return the address of a socket, in a short form if its path is too long."""
    path = str(folder / name)
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return f"/proc/self/fd/{descriptor}/{name}"


def _receive(receiver: socket.socket) -> set[str | None]:
    """Wait for datagrams, with a timeout, and return the workspaces of all that are queued."""
    poll = select.poll()
    poll.register(receiver, select.POLLIN)
    if not poll.poll(STOP_CHECK_SECONDS * 1000):
        return set()
    received: list[str | None] = []
    with suppress(BlockingIOError):
        while True:
            received.append(receiver.recv(_ID_BYTES).decode(errors="replace") or None)
    # With a full queue, further datagrams may have been dropped.
    if None in received or len(received) >= SHORTEST_QUEUE:
        return {None}
    return set(received)
