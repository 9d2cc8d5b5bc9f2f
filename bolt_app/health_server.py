"""The HTTP server for the health checks of a worker."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from bolt_app.readiness import Readiness

logger = logging.getLogger(__name__)

CLIENT_SECONDS = 10


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_request: object) -> None:
        """Log an error; the standard method prints its message and the client's address."""
        if not isinstance(sys.exception(), ConnectionError):
            logger.error("a health check could not be answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS

    def __init__(self, readiness: Readiness, *args: Any) -> None:
        self._readiness = readiness
        super().__init__(*args)

    def do_GET(self) -> None:
        match self.path:
            case "/healthz":
                self._answer({"status": "ok"}, 200)
            case "/readyz":
                self._answer(*self._readiness.check())
            case _:
                self._answer({"status": "not found"}, 404)

    def log_message(self, *_args: object) -> None:
        """Log nothing: requests arrive every few seconds, and may contain anything."""

    def _answer(self, body: dict[str, object], status: int) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


@contextmanager
def serving_health(readiness: Readiness, host: str, port: int) -> Iterator[int]:
    """Serve `/healthz` and `/readyz` in a thread, until the context ends.

    Args:
        port: 0 lets the system choose a free port.

    Returns: yields the port.

    Raises:
        OSError: the port is in use.
    """
    server = _Server((host, port), partial(_Handler, readiness))
    thread = Thread(target=server.serve_forever, name="health")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
