"""A proxy before the stand-in for Slack that answers chat.postMessage itself.

The stand-in uses Python threads and as much of the machine as the measured worker. The sink accepts
every message without checks: it is for load, not for tests.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

POST = b"POST /api/chat.postMessage "
_CHANNEL = re.compile(rb"\bchannel(?:=|\"\s*:\s*\")([A-Z0-9]+)")
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_CONNECTION = re.compile(rb"^connection:[^\r]*\r\n", re.IGNORECASE | re.MULTILINE)
Posts = list[tuple[str, float]]


class MessageSink:
    """A running sink, controlled over a pipe."""

    def __init__(self, url: str, pipe: Connection) -> None:
        self.url = url
        self._pipe = pipe

    def count(self) -> int:
        """Return the number of messages accepted since `clear`."""
        return int(self._ask("count"))

    def posts(self) -> Posts:
        """Return the channel and the Unix time of every message since `clear`."""
        found: Posts = self._ask("posts")
        return found

    def clear(self) -> None:
        """Forget the messages."""
        self._ask("clear")

    def lose(self, *, is_losing: bool) -> None:
        """Stop accepting and answering messages, or accept them again."""
        self._ask("lose", is_losing)

    def lost(self) -> list[str]:
        """Return the channels of the messages that were not accepted since `clear`."""
        found: list[str] = self._ask("lost")
        return found

    def close(self) -> None:
        """Stop it."""
        self._ask("close")

    def _ask(self, what: str, argument: Any = None) -> Any:
        self._pipe.send((what, argument))
        return self._pipe.recv()


@contextmanager
def message_sink(stand_in_url: str, *, latency_ms: int = 0) -> Iterator[MessageSink]:
    """Run a sink before a stand-in; each answer takes `latency_ms`."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, stand_in_url, latency_ms / 1000)
    )
    process.start()
    sink = MessageSink(ours.recv(), ours)
    try:
        yield sink
    finally:
        sink.close()
        process.join()


@dataclass
class _Sink:
    """The messages, which the thread of the pipe reads."""

    latency: float
    host: str
    port: int
    posts: Posts = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    is_losing: bool = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if not head.startswith(POST):
                    await self._pass_on(head, body, writer)
                    return
                channel = _channel(body)
                if not self._take(channel):
                    await reader.read()
                    return
                await asyncio.sleep(self.latency)
                writer.write(_taken(channel))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _take(self, channel: str) -> bool:
        if self.is_losing:
            self.lost.append(channel)
            return False
        # Other messages are direct messages: the installer's welcome.
        if channel.startswith("C"):
            self.posts.append((channel, time.time()))
        return True

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        reader, upstream = await asyncio.open_connection(self.host, self.port)
        line, _, headers = _CONNECTION.sub(b"", head).partition(b"\r\n")
        upstream.write(line + b"\r\nConnection: close\r\n" + headers + body)
        while piece := await reader.read(65_536):
            writer.write(piece)
        upstream.close()
        await writer.drain()


def _channel(body: bytes) -> str:
    found = _CHANNEL.search(body)
    return found[1].decode() if found else ""


def _taken(channel: str) -> bytes:
    answer = {"ok": True, "channel": channel, "ts": f"{time.time():.6f}", "message": {}}
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _serve(pipe: Connection, stand_in_url: str, latency: float) -> None:
    parts = urlsplit(stand_in_url)
    sink = _Sink(latency, str(parts.hostname), int(parts.port or 80))
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(sink.answer, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    pipe.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    while True:
        what, argument = pipe.recv()
        answer: Any = None
        if what == "count":
            answer = len(sink.posts)
        elif what == "posts":
            answer = sorted(sink.posts, key=lambda one: one[1])
        elif what == "lost":
            answer = list(sink.lost)
        elif what == "lose":
            sink.is_losing = argument
        elif what == "clear":
            sink.posts, sink.lost = [], []
        pipe.send(answer)
        if what == "close":
            os._exit(0)  # although connections are still open
