"""gunicorn with threads, sized by the environment, and delivery workers beside the web pages."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.util import import_app
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

from bolt_app.config import Settings
from bolt_app.delivery import create_worker
from bolt_app.logs import configure_logging
from bolt_app.notifications.delivery.worker import DeliveryWorker

logger = logging.getLogger(__name__)

# So long a client may take to send the headers of a request, and all of it with its answer.
HEADER_SECONDS = 10
REQUEST_SECONDS = 60


class PropagatingLogger(Logger):
    """Lets gunicorn's messages go where all others go, redacted like them."""

    def setup(self, cfg: Any) -> None:
        """Leave level and format to the root logger."""
        self.error_log.propagate = True


class DeadlineWorker(ThreadWorker):
    """gunicorn's threads, taken back from clients that send or read too slowly.

    gunicorn waits for a request as long as the client likes: a few connections with half a header
    would hold all threads. A deadline that begins with a connection's first byte ends that; a
    client that opens ever more of them is for the reverse proxy to stop.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By connections that have a thread.
        self._deadlines: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Read a request from a connection and answer it, in a thread."""
        self._deadlines[conn] = time.monotonic() + HEADER_SECONDS
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose headers were read."""
        self._deadlines[conn] = time.monotonic() + REQUEST_SECONDS
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close what has waited too long; gunicorn's loop calls it every second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self._deadlines.items()):
            if deadline <= now:
                # The thread that waits for it goes on, and finds it closed.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


class Server(BaseApplication):
    """Runs `app:app`, which each worker imports for itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # In the processes that serve, the worker beside the web pages.
        self._delivery: DeliveryWorker | None = None
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what the settings say."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": f"{settings.host}:{settings.port}",
            "worker_class": DeadlineWorker,
            "workers": settings.web_workers,
            "threads": settings.web_threads,
            "keepalive": 75,
            "graceful_timeout": 20,
            "logger_class": PropagatingLogger,
            "control_socket_disable": True,
            # TRUSTED_PROXIES says which proxies may speak for clients; gunicorn trusts none.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "when_ready": self._announce,
            "post_worker_init": self._start_delivering,
            "worker_exit": self._stop_delivering,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _announce(self, _arbiter: Arbiter) -> None:
        logger.info("Bellhop is ready: open %s in a browser", self._settings.public_url)

    def _start_delivering(self, _worker: Worker) -> None:
        if self._settings.worker_threads > 0:
            self._delivery = create_worker(self._app.extensions["bellhop"])
            self._delivery.start()

    def _stop_delivering(self, _arbiter: Arbiter, _worker: Worker) -> None:
        if self._delivery is not None:
            self._delivery.stop()

    def load(self) -> Any:
        """Import the application, in the process that serves it."""
        app: Any = import_app("app:app")
        self._app: Flask = app
        return self._app


def serve(settings: Settings) -> None:
    """Serve until a signal ends it."""
    configure_logging(settings.log_level, settings.log_format)
    Server(settings).run()
