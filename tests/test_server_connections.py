"""Connections of a server process: their number, errors of the system, and their end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from bolt_app.server import HEADER_SECONDS, MAX_DESCRIPTORS, RECHECK_SECONDS
from tests.test_server import (
    APP,
    DEADLINES,
    GUNICORN,
    Running,
    database,
    environment,
    get,
    settings_of,
    sqlite_only,
    started,
)
from tests.test_server_processes import children, sockets_of, wait_until

pytestmark = pytest.mark.slow
__all__ = ["database", "environment"]

MOST_CONNECTIONS = 20
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UNSIGNED = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
# One process, which does not deliver.
SERVING = {"WEB_CONCURRENCY": "1", "WORKER_THREADS": "0"}
REFUSED = "connections cannot be accepted: OSError: .Errno 24"
FEW_DESCRIPTORS = """
import resource
from bolt_app import server
from bolt_app.config import load_settings

server.ACCEPT_WARNING_SECONDS = 0
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
server.serve(load_settings())
"""
STOPPING = """
import os
import signal
import sys
from gunicorn.app.wsgiapp import run
from bolt_app import server
from bolt_app.server import DeadlineWorker

server.SILENT_SECONDS = 0
accept, stops = DeadlineWorker.accept, [True]

def stop_at_limit(worker, listener):
    accept(worker, listener)
    if worker.nr_conns == worker.worker_connections and stops.pop():
        stops.append(False)
        os.kill(os.getpid(), signal.SIGSTOP)

DeadlineWorker.accept = stop_at_limit
run()
"""
# All connections of a burst can pass the check of gunicorn that leaves some for others.
KEEPING_ALL = """
from gunicorn.app.wsgiapp import run
from bolt_app.server import DeadlineWorker

finish, held = DeadlineWorker.finish_request, []

def finish_together(worker, conn, future):
    if not future.result():
        finish(worker, conn, future)
        return
    held.append((conn, future))
    if len(held) == worker.worker_connections:
        for arguments in held:
            finish(worker, *arguments)

DeadlineWorker.finish_request = finish_together
run()
"""
ONE_THREAD = """
import threading
from bolt_app import server
from bolt_app.config import load_settings

start, names = threading.Thread.start, []

def start_one(thread):
    if thread.name.startswith("ThreadPoolExecutor-0_"):
        names.append(thread.name)
        if len(names) > 1:
            raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = start_one
server.serve(load_settings())
"""


class Worker:
    """The only process of a server that serves requests."""

    def __init__(self, server: Running) -> None:
        assert get(f"{server.url}/healthz")[0] == 200
        [self.id] = children(server.process.pid)
        self.server = server
        self.wait_for_connections(0)

    def connect(self, stack: ExitStack, data: bytes = b"") -> socket.socket:
        address = "127.0.0.1", self.server.port
        client = stack.enter_context(socket.create_connection(address, 20))
        client.sendall(data)
        return client

    def wait_for_connections(self, number: int) -> None:
        """Wait until that many connections are accepted and not closed."""
        wait_until(lambda: self.connections() == number or None)

    def is_stopped(self) -> bool:
        return Path(f"/proc/{self.id}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def limit_descriptors(self) -> None:
        """Lower the limit of open descriptors to those up to the largest that is open."""
        largest = max(int(item.name) for item in Path(f"/proc/{self.id}/fd").iterdir())
        resource.prlimit(self.id, resource.RLIMIT_NOFILE, (largest + 1, largest + 1))

    def assert_serves(self) -> None:
        """Check that it still serves, in the same process, without delay."""
        began = time.monotonic()
        assert get(f"{self.server.url}/healthz")[0] == 200
        assert time.monotonic() - began < HEADER_SECONDS / 2
        assert children(self.server.process.pid) == {self.id}

    def connections(self) -> int:
        mine, end = sockets_of(self.id), f":{self.server.port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(
            row[1].endswith(end) and row[3] != "0A" and f"socket:[{row[9]}]" in mine for row in rows
        )


@contextmanager
def few(database: Path, encryption_key: str, command: tuple[str, ...]) -> Iterator[Worker]:
    """Run gunicorn with one process and few connections; it ends without an error."""
    settings = settings_of(f"sqlite:///{database}", encryption_key)
    bind = f"127.0.0.1:{settings['PORT']}"
    limit = ("--worker-connections", str(MOST_CONNECTIONS))
    with started((*command, *limit, "--bind", bind, "app:app"), settings) as server:
        server.wait_for("Listening at")
        yield Worker(server)
        assert server.end() == 0
        assert server.matches("Traceback| ERROR ") == 0


@pytest.fixture
def few_connections(database: Path, encryption_key: str) -> Iterator[Worker]:
    with few(database, encryption_key, GUNICORN) as worker:
        yield worker


def test_complete_requests_are_answered_at_the_limit_of_connections(
    few_connections: Worker,
) -> None:
    with ExitStack() as stack:
        clients = [few_connections.connect(stack) for _ in range(MOST_CONNECTIONS - 1)]
        few_connections.wait_for_connections(len(clients))
        # The process learns of one more connection and of all requests at the same time.
        os.kill(few_connections.id, signal.SIGSTOP)
        clients.append(few_connections.connect(stack))
        for client in clients:
            client.sendall(LAST_REQUEST)
        os.kill(few_connections.id, signal.SIGCONT)

        assert [read_status(client) for client in clients] == [200] * MOST_CONNECTIONS
        few_connections.assert_serves()


def test_a_silent_connection_gives_way_to_a_request_at_the_same_time(
    few_connections: Worker,
) -> None:
    with ExitStack() as stack:
        silent = few_connections.connect(stack)
        few_connections.wait_for_connections(1)
        others = [few_connections.connect(stack) for _ in range(MOST_CONNECTIONS - 2)]
        few_connections.wait_for_connections(MOST_CONNECTIONS - 1)
        os.kill(few_connections.id, signal.SIGSTOP)
        others.append(few_connections.connect(stack))
        for client in others:
            client.sendall(LAST_REQUEST)
        os.kill(few_connections.id, signal.SIGCONT)

        assert [read_status(client) for client in others] == [200] * (MOST_CONNECTIONS - 1)
        assert silent.recv(1) == b""


def test_a_connection_whose_request_has_just_arrived_is_kept(
    database: Path, encryption_key: str
) -> None:
    command = (sys.executable, "-c", STOPPING, *GUNICORN[3:])
    with few(database, encryption_key, command) as worker, ExitStack() as stack:
        clients = [worker.connect(stack) for _ in range(MOST_CONNECTIONS)]
        wait_until(lambda: worker.is_stopped() or None)
        # The process has the events of its connections, without these.
        for client in clients:
            client.sendall(LAST_REQUEST)
        os.kill(worker.id, signal.SIGCONT)

        assert [read_status(client) for client in clients] == [200] * MOST_CONNECTIONS


def test_connections_between_two_requests_give_way(database: Path, encryption_key: str) -> None:
    command = (sys.executable, "-c", KEEPING_ALL, *GUNICORN[3:], "--keep-alive", "75")
    with few(database, encryption_key, command) as worker, ExitStack() as stack:
        kept = [worker.connect(stack, REQUEST) for _ in range(MOST_CONNECTIONS)]
        for client in kept:
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        for _ in range(3):
            worker.assert_serves()


@sqlite_only
def test_too_many_open_files_close_silent_connections(environment: dict[str, str]) -> None:
    with started(APP, environment | SERVING) as server, ExitStack() as stack:
        server.wait_for("Bellhop is ready")
        worker = Worker(server)
        first = worker.connect(stack)
        worker.wait_for_connections(1)
        worker.limit_descriptors()
        for _ in range(100):
            worker.connect(stack)

        worker.assert_serves()
        assert first.recv(1) == b""
        assert server.matches(REFUSED) == 1
        assert server.matches("Traceback") == 0


@sqlite_only
def test_too_many_open_files_are_waited_for(environment: dict[str, str]) -> None:
    """No connection can be closed instead: a request of each is being read."""
    command = (sys.executable, "-c", FEW_DESCRIPTORS.format(soft=1024, hard=1024))
    with started(command, environment | SERVING) as server, ExitStack() as stack:
        server.wait_for("Bellhop is ready")
        worker = Worker(server)
        busy = [worker.connect(stack, LAST_REQUEST[:-2])]
        worker.wait_for_connections(1)
        worker.limit_descriptors()
        began = time.monotonic()
        while not server.matches(REFUSED):
            busy.append(worker.connect(stack, LAST_REQUEST[:-2]))
            wait_until(lambda: worker.connections() == len(busy) or server.matches(REFUSED) or None)
        wait_until(lambda: server.matches(REFUSED) >= 3 or None)
        # Each error is followed by a pause.
        assert server.matches(REFUSED) <= 1 + (time.monotonic() - began) / RECHECK_SECONDS

        for client in busy:
            client.sendall(LAST_REQUEST[-2:])
            assert read_status(client) == 200
            client.close()
        worker.assert_serves()


@sqlite_only
def test_the_number_of_connections_leaves_descriptors(environment: dict[str, str]) -> None:
    command = (sys.executable, "-c", FEW_DESCRIPTORS.format(soft=128, hard=128))
    with started(command, environment | SERVING) as server, ExitStack() as stack:
        server.wait_for("Bellhop is ready")
        worker = Worker(server)
        for _ in range(200):
            worker.connect(stack)

        worker.assert_serves()
        assert get(f"{server.url}/readyz")[0] == 200
        assert server.matches(REFUSED) == 0


@sqlite_only
def test_the_limit_of_descriptors_is_raised(environment: dict[str, str]) -> None:
    command = (sys.executable, "-c", FEW_DESCRIPTORS.format(soft=128, hard=MAX_DESCRIPTORS + 1))
    with started(command, environment | SERVING) as server:
        server.wait_for("Bellhop is ready")
        worker = Worker(server)

        limits = resource.prlimit(worker.id, resource.RLIMIT_NOFILE)
        assert limits == (MAX_DESCRIPTORS, MAX_DESCRIPTORS + 1)


@sqlite_only
def test_a_thread_that_cannot_be_started_ends_no_process(environment: dict[str, str]) -> None:
    command = (sys.executable, "-c", ONE_THREAD)
    with started(command, environment | SERVING) as server, ExitStack() as stack:
        server.wait_for("Bellhop is ready")
        worker = Worker(server)
        clients = [worker.connect(stack, LAST_REQUEST) for _ in range(50)]

        assert [read_status(client) for client in clients] == [200] * len(clients)
        worker.assert_serves()


@pytest.mark.parametrize(
    "data", [LAST_REQUEST, b"GET /healthz HTTP/1.0\r\n\r\n", UNSIGNED, b"no request\r\n\r\n"]
)
def test_a_client_that_does_not_close_delays_nobody(few_connections: Worker, data: bytes) -> None:
    with ExitStack() as stack:
        clients = [few_connections.connect(stack, data) for _ in range(MOST_CONNECTIONS - 2)]
        assert read_status(clients[0]) in (200, 400, 401)
        few_connections.assert_serves()


@sqlite_only
def test_a_client_that_does_not_close_is_ended(environment: dict[str, str]) -> None:
    command = (sys.executable, "-c", DEADLINES)
    with started(command, environment | SERVING) as server, ExitStack() as stack:
        server.wait_for("Bellhop is ready")
        worker = Worker(server)
        client = worker.connect(stack, LAST_REQUEST)
        assert read_status(client) == 200
        with suppress(ConnectionError):
            while True:
                client.sendall(b"x" * 1000)
        worker.wait_for_connections(0)


def test_a_client_that_sends_its_body_after_the_response_is_not_reset(
    few_connections: Worker,
) -> None:
    with ExitStack() as stack:
        client = few_connections.connect(stack, UNSIGNED)
        assert read_status(client) == 401
        client.sendall(b"x" * 900_000)
        client.shutdown(socket.SHUT_WR)
        few_connections.wait_for_connections(0)

        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_silent_clients_do_not_delay_the_end(few_connections: Worker) -> None:
    with ExitStack() as stack:
        few_connections.connect(stack)
        few_connections.wait_for_connections(1)
        assert read_status(few_connections.connect(stack, LAST_REQUEST)) == 200
        began = time.monotonic()

        assert few_connections.server.end() == 0

        assert time.monotonic() - began < HEADER_SECONDS / 2


def read_status(client: socket.socket) -> int:
    """Read until the server ends its side; return the status."""
    with client.makefile("rb") as answer:
        return int(answer.read().split(maxsplit=2)[1])
