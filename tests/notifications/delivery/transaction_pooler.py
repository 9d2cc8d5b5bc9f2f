"""A pooler of the kind that gives each transaction any session of the server, as PgBouncer does.

Only as much of it as a test needs: each client adds one session to the pool. Messages are those of
https://www.postgresql.org/docs/current/protocol-message-formats.html.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

# What libpq asks for before the start of a session: TLS and GSSAPI.
_ENCRYPTION_REQUESTS = (80877103, 80877104)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TransactionPooler:
    """Listens at `port` in front of a server; `takes` says which free session is used next."""

    def __init__(self, host: str, port: int, takes: Literal["last", "first"] = "last") -> None:
        self._server = (host, port)
        self._next = -1 if takes == "last" else 0
        self._free: list[Streams] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TransactionPooler]:
        """Serve clients until the end."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        async with listener:
            try:
                yield self
            finally:
                for writer in self._writers:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            await self._relay(reader, writer, await self._start(reader, writer))

    async def _start(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> asyncio.Task[bytes]:
        """Let the client log in to a new session, and put that into the pool.

        Returns: the client's next message, which is being waited for.
        """
        startup = await _startup(reader)
        while struct.unpack("!I", startup[4:8])[0] in _ENCRYPTION_REQUESTS:
            writer.write(b"N")
            startup = await _startup(reader)
        server = await asyncio.open_connection(*self._server)
        self._writers.append(server[1])
        server[1].write(startup)
        login = asyncio.create_task(_copy_until_ready(server[0], writer))
        while True:
            reading = asyncio.create_task(_message(reader))
            await asyncio.wait({login, reading}, return_when=asyncio.FIRST_COMPLETED)
            if login.done():
                break
            server[1].write(reading.result())
        self._free.insert(0, server)
        return reading

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        reading: asyncio.Task[bytes],
    ) -> None:
        server: Streams | None = None
        while True:
            batch = await reading
            if batch[:1] == b"X":
                return
            # A batch of the extended protocol ends with Sync.
            while batch[:1] != b"Q" and not batch.endswith(b"S\x00\x00\x00\x04"):
                batch += await _message(reader)
            server = server or self._free.pop(self._next)
            server[1].write(batch)
            if await _copy_until_ready(server[0], writer) == b"I":
                self._free.append(server)
                server = None
            reading = asyncio.create_task(_message(reader))


async def _startup(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack("!I", length)[0] - 4)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def _copy_until_ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Pass a server's answer on; return the state of its transaction."""
    while True:
        message = await _message(reader)
        writer.write(message)
        if message[:1] == b"Z":
            return message[5:6]
