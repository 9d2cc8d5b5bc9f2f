"""The server: gunicorn with threads, sized by the settings, and a delivery worker."""

from __future__ import annotations

import errno
import gc
import logging
import os
import resource
import select
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.util import import_app
from gunicorn.workers.gthread import ThreadWorker

from bolt_app.config import Settings
from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.db.schema import SchemaError, require_current
from bolt_app.logs import configure_logging, describe_error, end_request
from bolt_app.notifications.delivery.worker import DeliveryWorker
from bolt_app.worker import create_worker

logger = logging.getLogger(__name__)

# Deadlines of a client: for the headers of a request, and for the whole request and response. The
# first is also the deadline for closing a connection after its last response.
HEADER_SECONDS = 10
REQUEST_SECONDS = 60
# How often a process checks that its delivery worker and its parent are alive.
CHECK_SECONDS = 1.0
# How long a thread waits for the next request of a connection before it releases the connection.
LINGER_MS = 5
# Per request, each of up to 8 KiB. Browsers behind proxies send about 40.
MAX_HEADERS = 60
# The deadline for connections without a thread when the process stops: that of gunicorn for those
# between two requests.
STOP_SECONDS = 2
# The limit of open descriptors that a process sets, if it may. Connections use at most half of it.
MAX_DESCRIPTORS = 4096
# When a process with too many connections may close one: proxies open some before they need them,
# and lose a request that they send at the same moment.
SILENT_SECONDS = 0.5
# How often a process that accepts no connections checks whether it can.
RECHECK_SECONDS = 0.2
ACCEPT_WARNING_SECONDS = 60
_DISCARDED_BYTES = 64 * 1024


class PropagatingLogger(Logger):
    """Sends gunicorn's messages to the root logger, which redacts them."""

    def setup(self, cfg: Any) -> None:
        """Leave level and format to the root logger."""
        self.error_log.propagate = True


class DeadlineWorker(ThreadWorker):
    """gunicorn's thread worker, with deadlines for clients that send or read too slowly.

    gunicorn waits for a request without limit: a few connections with half a header would occupy
    all threads. Here a deadline starts with the first byte; limiting the number of connections of
    a client is the reverse proxy's job. A new connection gets no thread before its first byte, and
    if there are too many connections a silent one is closed.

    A busy connection keeps its thread: releasing and reassigning it involves three threads, which
    under load takes longer than most responses.

    The main thread accepts and closes all connections: an exception there ends the process, and
    while it waits for one client all others wait. `pending_conns` has the connections that wait for
    their first byte, and those that wait for the client to close them after their last response.
    They are closed between two batches of events only, because a batch may still have an event of
    one of them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By connection with a thread.
        self._deadlines: dict[Any, float] = {}
        # Connections waiting for a thread.
        self._queued: set[Any] = set()
        # Whether a connection could not be accepted since the last batch of events.
        self._is_refused = False
        self._accepts_from = self._warns_from = 0.0

    def init_process(self) -> None:
        """Leave descriptors for files, the database and Slack, then serve."""
        most = _raise_descriptor_limit() // 2
        self.worker_connections = min(self.worker_connections, most)
        self.max_keepalived = self.worker_connections - self.cfg.threads
        super().init_process()

    def accept(self, listener: Any) -> None:
        """Accept a connection; an error, such as too many open files, does not end the process."""
        try:
            super().accept(listener)
        except OSError as error:
            self._is_refused = True
            now = time.monotonic()
            if now >= self._warns_from:
                self._warns_from = now + ACCEPT_WARNING_SECONDS
                logger.warning("connections cannot be accepted: %s", describe_error(error))

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Accept connections or not; not during the pause after an error."""
        super().set_accept_enabled(bool(enabled) and time.monotonic() >= self._accepts_from)

    def wait_for_and_dispatch_events(self, timeout: Any) -> None:
        """Wait for events and handle them, for a shorter time while no connection is accepted."""
        is_full = self.nr_conns >= self.worker_connections
        if is_full or time.monotonic() < self._accepts_from:
            timeout = min(timeout, RECHECK_SECONDS)
        super().wait_for_and_dispatch_events(timeout)

    def enqueue_req(self, conn: Any) -> None:
        """Assign a thread to a connection once there is data to read."""
        if conn.initialized or conn.data_ready:
            self._queued.add(conn)
            try:
                super().enqueue_req(conn)
            except RuntimeError:
                # No other thread can be started. An existing one serves the connection, and its end
                # closes it without `finish_request`.
                self.nr_conns -= 1
        else:
            self._wait_for(conn, self.on_pending_socket_readable)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Wait for the next request of a connection, or for its end; do not block for either."""
        if fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
            return
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
        self._wait_for(conn, self._discard)

    def _wait_for(self, conn: Any, readable: Callable[[Any, Any], None]) -> None:
        seconds = HEADER_SECONDS if self.alive else STOP_SECONDS
        conn.timeout = time.monotonic() + seconds
        self.pending_conns.append(conn)
        try:
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(readable, conn))
        except (OSError, ValueError):
            # Closed after an error in the middle of a response, or the system is out of memory.
            self._expire(conn)

    def _discard(self, conn: Any, client: socket.socket) -> None:
        """Read what a client sends after the response: with unread data it might not receive it."""
        data = b""
        with suppress(OSError):
            data = client.recv(_DISCARDED_BYTES)
        if not data:
            self._expire(conn)

    def _expire(self, conn: Any) -> None:
        """Let a connection without a thread be closed after this batch of events."""
        is_kept = conn in self.keepalived_conns
        connections = self.keepalived_conns if is_kept else self.pending_conns
        connections.remove(conn)
        conn.timeout = 0
        connections.appendleft(conn)

    def handle(self, conn: Any) -> Any:
        """Handle requests of a connection, in a thread, until it is silent."""
        self._queued.discard(conn)
        keepalive = self._handle_one(conn)
        while keepalive is True and self._has_next(conn):
            keepalive = self._handle_one(conn)
        return keepalive

    def _has_next(self, conn: Any) -> bool:
        """Whether the next request arrives at once, while no other connection needs the thread."""
        return not self._queued and self.alive and _is_readable(conn.sock, LINGER_MS)

    def _handle_one(self, conn: Any) -> Any:
        self._deadlines[conn] = time.monotonic() + HEADER_SECONDS
        # The next request may fail before it gets an id.
        end_request()
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handle a request after its headers are read."""
        self._deadlines[conn] = time.monotonic() + REQUEST_SECONDS
        return super().handle_request(req, conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Set an earlier deadline for connections without a thread when the process stops."""
        super()._cap_keepalive(deadline)  # type: ignore[misc]
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout or 0, deadline)

    def murder_pending(self) -> None:
        """Close connections past their deadline; gunicorn calls it after each batch of events."""
        super().murder_pending()
        if self._is_refused or self.nr_conns >= self.worker_connections:
            self._make_room()
        now = time.monotonic()
        for conn, deadline in list(self._deadlines.items()):
            if deadline <= now:
                # The waiting thread continues and finds it closed.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)

    def _make_room(self) -> None:
        """Close a silent connection, unless requests wait for a thread and so will end others."""
        silent = None if self._queued else next(self._silent(), None)
        if silent is not None:
            self._expire(silent)
            super().murder_pending()
            super().murder_keepalived()
        elif self._is_refused:
            # The listener stays readable: without a pause the loop would not wait.
            self._accepts_from = time.monotonic() + RECHECK_SECONDS
            self.set_accept_enabled(False)
        self._is_refused = False

    def _silent(self) -> Iterator[Any]:
        """Yield connections without a request: the oldest that wait, then those between two."""
        since = time.monotonic() - (0 if self._is_refused else SILENT_SECONDS)
        for conns, seconds in (
            (self.pending_conns, HEADER_SECONDS),
            (self.keepalived_conns, self.cfg.keepalive),
        ):
            for conn in conns:
                if (conn.timeout or 0) - seconds > since:
                    break
                if not _is_readable(conn.sock):
                    yield conn


class ServerProcess(DeadlineWorker):
    """A server process: it serves web requests, delivers, or both.

    Attributes:
        delivers, serves: its jobs, set before the fork.
        announces: whether it logs when Bellhop is ready.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delivers, self.serves, self.announces = False, True, False
        self._delivery: DeliveryWorker | None = None

    def run(self) -> None:
        """Serve and deliver until a signal arrives or the delivery worker ends."""
        app: Any = self.wsgi
        services = app.extensions["bellhop"]
        stopped = threading.Event()
        try:
            if self.delivers:
                self._delivery = create_worker(services)
                self._delivery.start()
            if self.announces:
                arguments = services.database, services.settings.public_url, stopped
                threading.Thread(
                    target=announce_when_ready, args=arguments, name="readiness", daemon=True
                ).start()
            if self.serves:
                super().run()
            else:
                self._wait()
        finally:
            stopped.set()
            if self._delivery is not None:
                self._delivery.stop()

    def murder_pending(self) -> None:
        """Close connections past their deadline, and stop if the delivery worker has ended."""
        super().murder_pending()
        self._check_delivery()

    def _wait(self) -> None:
        # Without another serving process, clients are rejected instead of waiting.
        for listener in self.sockets:
            listener.close()
        while self.alive and self.is_parent_alive():
            self.notify()
            # Signals write to the pipe.
            if select.select([self.PIPE[0]], [], [], CHECK_SECONDS)[0]:
                os.read(self.PIPE[0], 1024)
            self._check_delivery()

    def _check_delivery(self) -> None:
        if self.alive and self._delivery is not None and not self._delivery.is_alive():
            logger.critical("the delivery worker has ended; its process is replaced")
            self.alive = False


class FixedArbiter(Arbiter):
    """gunicorn's parent process, with a fixed number of children."""

    def handle_ttin(self) -> None:
        """Ignore the signal: another process would neither deliver nor count as a web process."""
        logger.warning("the number of processes is fixed: set WEB_CONCURRENCY and restart")

    handle_ttou = handle_ttin


class Server(BaseApplication):
    """Runs `app:app`, which each process imports separately.

    A single web process also delivers. With several, a separate process delivers, so that neither
    waits for the other's interpreter lock.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Processes up to this age are about to end; their replacements deliver.
        self._replaced_age = 0
        super().__init__()

    def run(self) -> None:
        """Serve until a signal ends it."""
        # All processes share the memory of imported modules, also during garbage collection.
        gc.collect()
        gc.freeze()
        FixedArbiter(self).run()

    def load_config(self) -> None:
        """Apply the settings to gunicorn."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": f"{settings.host}:{settings.port}",
            "worker_class": ServerProcess,
            "workers": settings.web_workers + (not self._delivers_beside_serving),
            "threads": settings.web_threads,
            "keepalive": 75,
            "limit_request_fields": MAX_HEADERS,
            "graceful_timeout": 20,
            "logger_class": PropagatingLogger,
            "control_socket_disable": True,
            # TRUSTED_PROXIES lists the trusted proxies; gunicorn itself trusts none.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "on_reload": self._replace,
            "pre_fork": self._assign,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Import the application, in the process that serves it."""
        return import_app("app:app")

    @property
    def _delivers_beside_serving(self) -> bool:
        settings = self._settings
        return settings.web_workers == 1 or settings.worker_threads == 0

    def _replace(self, arbiter: Arbiter) -> None:
        self._replaced_age = arbiter.worker_age

    def _assign(self, arbiter: Any, process: ServerProcess) -> None:
        """Choose the jobs of a process: exactly one of the remaining processes delivers."""
        remaining = [
            worker for worker in arbiter.WORKERS.values() if worker.age > self._replaced_age
        ]
        is_delivered = any(worker.delivers for worker in remaining)
        process.delivers = self._settings.worker_threads > 0 and not is_delivered
        process.serves = self._delivers_beside_serving or not process.delivers
        process.announces = process.serves and not any(worker.announces for worker in remaining)


def _is_readable(client: socket.socket, milliseconds: int = 0) -> bool:
    poll = select.poll()
    with suppress(ValueError):
        # A closed one is not.
        poll.register(client, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _raise_descriptor_limit() -> int:
    """Raise the limit of open descriptors, often 1,024, as far as needed; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = max(soft, min(hard, MAX_DESCRIPTORS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised


def announce_when_ready(database: Database, public_url: str, stopped: threading.Event) -> None:
    """Log that Bellhop is ready once its database is; log the first reason why it is not."""
    reason = _unready_reason(database)
    if reason is not None:
        logger.warning("Bellhop is not ready and checks again every second: %s", reason)
    while reason is not None:
        if stopped.wait(CHECK_SECONDS):
            return
        reason = _unready_reason(database)
    logger.info("Bellhop is ready: open %s in a browser", public_url)


def _unready_reason(database: Database) -> str | None:
    try:
        require_current(database)
    except SchemaError as error:
        return str(error)
    except DATABASE_UNAVAILABLE as error:
        return f"The database is not answering: {describe_error(error)}"
    return None


def _require_free(host: str, port: int) -> None:
    """Exit with a message if the address is not available; gunicorn would keep trying."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sentence = f"Port {port} is in use by another program: stop it, or set PORT."
        else:
            sentence = f"Port {port} on {host} cannot be used ({error.strerror}): set HOST or PORT."
        sys.exit(sentence)


def serve(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        SystemExit: the address is not available; its message explains why.
    """
    _require_free(settings.host, settings.port)
    configure_logging(settings.log_level, settings.log_format)
    Server(settings).run()
