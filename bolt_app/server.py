"""gunicorn with threads, sized by the environment, and delivery workers beside the web pages."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.util import import_app
from gunicorn.workers.base import Worker

from bolt_app.config import Settings
from bolt_app.delivery import create_worker
from bolt_app.logs import configure_logging
from bolt_app.notifications.worker import DeliveryWorker

logger = logging.getLogger(__name__)


class PropagatingLogger(Logger):
    """Lets gunicorn's messages go where all others go, redacted like them."""

    def setup(self, cfg: Any) -> None:
        """Leave level and format to the root logger."""
        self.error_log.propagate = True


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
            "worker_class": "gthread",
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
