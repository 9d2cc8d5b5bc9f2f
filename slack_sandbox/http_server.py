"""A threaded HTTP/1.1 server with persistent connections, all closed on stop.

werkzeug's development server closes every connection after one response; this module replaces only
the sending of responses.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

_Arrival = tuple[Any, Any]
"""A connection and its remote address."""


class KeepAliveHandler(WSGIRequestHandler):
    """Handles consecutive requests on one connection.

    The application must read the whole body of each request.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Call the application and send its response."""
        environ = self.make_environ()
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Any:
            started[:] = [(status, headers)]

        answer: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            pieces = iter(answer)
            first = next(pieces, b"")
            status, headers = started[0]
            self._send(status, headers, first, pieces)
        except OSError:  # closed by the client, or dropped by a fault
            self.close_connection = True
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: calls are recorded elsewhere, and URLs may contain codes."""

    def _send(
        self, status: str, headers: list[tuple[str, str]], first: bytes, rest: Iterable[bytes]
    ) -> None:
        names = {name.lower() for name, _ in headers}
        code = int(status.split()[0])
        bodiless = self.command == "HEAD" or code in (HTTPStatus.NO_CONTENT, 304)
        chunked = "content-length" not in names and not bodiless
        lines = [f"{self.protocol_version} {status}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Server: {self.version_string()}", f"Date: {self.date_time_string()}"]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        # Head and first piece in one write: the second of two small writes can be delayed by
        # delayed acknowledgements.
        self.wfile.write(head + (b"" if bodiless else _piece(first, chunked)))
        for piece in () if bodiless else rest:
            self.wfile.write(_piece(piece, chunked))
        if chunked:
            self.wfile.write(b"0\r\n\r\n")


def _piece(data: bytes, chunked: bool) -> bytes:
    if not chunked or not data:
        return data
    return b"%x\r\n%b\r\n" % (len(data), data)


class KeepAliveServer(ThreadedWSGIServer):
    """Tracks open connections so that it can close them on stop.

    A thread that has finished a connection takes the next one: most clients open a connection for
    each call, and starting a thread costs more than the response. Raises OSError if the port is in
    use.
    """

    def __init__(self, host: str, port: int, app: Flask, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        """How many were accepted so far."""
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._arrived: SimpleQueue[_Arrival | None] = SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Bound here: werkzeug exits the whole process if the port is in use.
        with socket.create_server((host, port), family=family, backlog=128) as bound:
            super().__init__(host, port, app, KeepAliveHandler, fd=bound.fileno())
        self.ssl_context = tls

    def get_request(self) -> _Arrival:
        """Accept a connection. The reading thread does its TLS handshake."""
        connection, address = super().get_request()
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to an idle thread, or else to a new one."""
        with self._lock:
            self._open.add(request)
            self.connections += 1
            is_new = self._idle == 0
            if not is_new:
                self._idle -= 1
        self._arrived.put((request, client_address))
        if is_new:
            worker = threading.Thread(target=self._work, name="sandbox connections")
            self._workers.append(worker)
            worker.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a finished connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Close every connection and the listening socket, and wait for the handlers."""
        with self._lock:
            waiting = list(self._open)
        for connection in waiting:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed by the client
        self.server_close()
        for _ in self._workers:
            self._arrived.put(None)
        for worker in self._workers:
            worker.join()

    def _work(self) -> None:
        while (arrival := self._arrived.get()) is not None:
            self.process_request_thread(*arrival)
            with self._lock:
                self._idle += 1
