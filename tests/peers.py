"""Network peers that a test scripts byte by byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bolt_app.http_loop import HttpLoop

Serve = Callable[[socket.socket], None]
StartPeer = Callable[[Serve], int]


class _Peer:
    """Serves each connection with a function, in a separate thread."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop(self) -> None:
        _shut(self._listener)
        self._accepting.join()
        for connection in self._connections:
            _shut(connection)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError):
            self._serve(connection)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.fixture
def start_peer(http: HttpLoop) -> Iterator[StartPeer]:
    """Serve each connection with a function, on a free port; return the port.

    They stop before the loop does: what it still writes to a peer that does not read ends then.
    """
    peers: list[_Peer] = []

    def start(serve: Serve) -> int:
        peers.append(_Peer(serve))
        return peers[-1].port

    yield start
    for peer in peers:
        peer.stop()
