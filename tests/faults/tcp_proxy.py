"""A TCP proxy between an app and its database that a test can interrupt."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

CHUNK_BYTES = 65_536


class TcpProxy:
    """Listens at `port`, and forwards to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.lost = 0
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._out = threading.Event()
        self._sign, self._every, self._seen = b"", 1, itertools.count(1)
        self._recorded: list[bytes] | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        self._accepting = threading.Thread(target=self._accept, name="proxy")

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._cut_all()
        with suppress(OSError):
            # Closing alone would leave the thread waiting.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for link in self._links:
            link.join()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Abort every connection, and accept no new one."""
        self._out.set()
        self._cut_all()
        yield
        self._out.clear()

    @contextmanager
    def losing_answers(self, sign: bytes, *, every: int) -> Iterator[None]:
        """Abort the connection at the answer to each `every`-th request that contains a marker."""
        self._sign, self._every = sign, every
        yield
        self._sign = b""

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Keep every connection open without forwarding anything, until the end."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @contextmanager
    def recording(self) -> Iterator[list[bytes]]:
        """Yield a list to which the data from clients is added."""
        recorded: list[bytes] = []
        self._recorded = recorded
        yield recorded
        self._recorded = None

    def record(self, data: bytes) -> None:
        """Record data from a client."""
        if self._recorded is not None:
            self._recorded.append(data)

    def wait_until_flowing(self) -> None:
        """Wait while everything is stalled."""
        self._flowing.wait()

    def loses_answer(self, data: bytes) -> bool:
        """Whether the answer to `data` must be lost."""
        if not self._sign or self._sign not in data or next(self._seen) % self._every:
            return False
        self.lost += 1
        return True

    def _cut_all(self) -> None:
        with self._lock:
            for link in self._links:
                link.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                if self._out.is_set():
                    client.close()
                    continue
                link = _Link(self, client, socket.create_connection(self._server))
                with self._lock:
                    self._links.append(link)
                if self._out.is_set():
                    link.cut()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._loses_answer = False
        for one in (client, server):
            # Small packets must not wait for one another's receipt.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._hand_on, args=ends, name="proxy link")
            for ends in ((client, server), (server, client))
        ]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """Abort it for both ends."""
        for one in (self._client, self._server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait for its threads."""
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if source is self._client:
                    self._proxy.record(data)
                    self._loses_answer = self._loses_answer or self._proxy.loses_answer(data)
                elif self._loses_answer:
                    break
                self._proxy.wait_until_flowing()
                target.sendall(data)
        self.cut()
