"""The lock session: one PostgreSQL connection; its process owns shards as long as it lives.

PostgreSQL releases a session's advisory locks when the session ends, for whatever reason: the
process died, the connection broke, or nothing was heard for `idle_session_timeout`
(https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS,
https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection
from contextlib import closing, suppress
from typing import Any, LiteralString, Self

import psycopg

from bolt_app.batching import AsyncBatcher
from bolt_app.delays import Delays
from bolt_app.notifications.delivery.errors import OwnershipError, SessionLostError

CONNECT_SECONDS = 5
# idle_session_timeout exists since PostgreSQL 14.
LEAST_VERSION = 140_000
POOLER = (
    "The database is behind a transaction pooler, where no lock outlives a statement: set "
    "DATABASE_SESSION_URL to PostgreSQL's own address, or to a pool in session mode."
)
_PID: LiteralString = "SELECT pg_backend_pid()"


class LockSession:
    """An open session. Statements run one after the other, each in a separate transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], pid: int, delays: Delays) -> None:
        self.pid = pid
        self._connection = connection
        self._answer_seconds = delays.owner_answer
        self._turn = asyncio.Lock()
        self._checks = AsyncBatcher(self._check, turn=self._turn)
        self.is_lost = False

    @classmethod
    async def open(cls, address: str, delays: Delays) -> Self:
        """Connect.

        Args:
            address: a URL as libpq takes it, with a password where one is needed.

        Raises:
            OwnershipError: the server is too old, or is a transaction pooler.
            psycopg.Error, TimeoutError: the connection failed.
        """
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await _connect(address)
            try:
                pid = await _prepare(connection, address, delays.owner_silence)
            except BaseException:
                await connection.close()
                raise
        return cls(connection, pid, delays)

    async def query(self, statement: LiteralString, *values: Any) -> list[Any]:
        """Run a statement and return its rows.

        Raises:
            SessionLostError: the session has ended or has not answered in time; it is closed.
        """
        async with self._turn:
            return await self._query(statement, values)

    async def confirm(self) -> bool:
        """Return whether the session answers a query that begins after this call.

        Callers that arrive while another query is running share the next one.
        """
        return bool(await self._checks.call(None))

    async def close(self) -> None:
        """End the session, and so release its locks."""
        self.is_lost = True
        await self._connection.close()

    async def _check(self, calls: Collection[None]) -> dict[None, bool]:
        with suppress(SessionLostError):
            [[pid]] = await self._query(_PID, ())
            # Behind a pooler, another session may answer.
            self.is_lost = self.is_lost or pid != self.pid
        return dict.fromkeys(calls, not self.is_lost)

    async def _query(self, statement: LiteralString, values: tuple[Any, ...]) -> list[Any]:
        if self.is_lost:
            raise SessionLostError
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._answer_seconds
        running = asyncio.ensure_future(self._execute(statement, values))
        await asyncio.wait({running}, timeout=self._answer_seconds)
        # This includes an answer that arrived in time but was read late, by a suspended process.
        if loop.time() >= ends_at:
            self._cut()
            await asyncio.wait({running})
        error = running.exception()
        if error is None and not self.is_lost:
            return running.result()
        self.is_lost = True
        raise SessionLostError from error

    async def _execute(self, statement: LiteralString, values: tuple[Any, ...]) -> list[Any]:
        result = await self._connection.execute(statement, values or None)
        return await result.fetchall() if result.description else []

    def _cut(self) -> None:
        """Abort the connection; psycopg's own cancellation would ask the server, and wait."""
        self.is_lost = True
        with suppress(OSError, psycopg.Error):
            descriptor = os.dup(self._connection.fileno())
            with closing(socket.socket(fileno=descriptor)) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)


async def _connect(address: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        address,
        autocommit=True,
        fallback_application_name="bellhop-ownership",
        connect_timeout=CONNECT_SECONDS,
        # A statement prepared in one session is missing in the next behind a pooler.
        prepare_threshold=None,
    )


async def _prepare(
    connection: psycopg.AsyncConnection[Any], address: str, silence_seconds: float
) -> int:
    """Check and set up a connection; return the id of its session."""
    if connection.info.server_version < LEAST_VERSION:
        raise OwnershipError("Delivery needs PostgreSQL 14 or later.")
    pid = await _refuse_pooler(connection, address)
    milliseconds = str(round(silence_seconds * 1000))
    await connection.execute("SELECT set_config('idle_session_timeout', %s, false)", [milliseconds])
    return pid


async def _refuse_pooler(connection: psycopg.AsyncConnection[Any], address: str) -> int:
    """Return the id of the connection's session, which it keeps between transactions.

    A transaction pooler assigns sessions per transaction. Without other clients this shows only
    while a second connection keeps a session busy.

    Raises:
        OwnershipError: the connection does not keep its session.
    """
    pid = await _pid(connection)
    async with await _connect(address) as other:
        between = await _pid(connection)
        async with other.transaction():
            others = await _pid(other)
            after = await _pid(connection)
    if others == pid or {between, after} != {pid}:
        raise OwnershipError(POOLER)
    return pid


async def _pid(connection: psycopg.AsyncConnection[Any]) -> int:
    result = await connection.execute(_PID)
    row = await result.fetchone()
    return int(row[0]) if row else 0
