"""`python app.py` with several web processes: a process that dies is replaced."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.commands import CLEAN, settings_file
from tests.delivering import install_without_limits, quick_bellhop
from tests.people import ACME, GENERAL
from tests.running import Bellhop
from tests.slack.signing import command_body, signed
from tests.test_server import APP, Running, free_port, started

pytestmark = pytest.mark.slow

T = TypeVar("T")

PATIENCE_SECONDS = 30
WEB_PROCESSES = 2
ENDING_DELIVERY = """
import sys
from pathlib import Path

from bolt_app import server
from bolt_app.config import load_settings

create_worker, marker = server.create_worker, Path(sys.argv[1])


class EndingWorker:
    def start(self):
        marker.touch()

    def is_alive(self):
        return False

    def stop(self):
        pass


server.create_worker = lambda given: create_worker(given) if marker.exists() else EndingWorker()
server.serve(load_settings())
"""


@dataclass
class Processes:
    """The processes behind a port: those that serve, and those that only deliver."""

    serving: set[int]
    delivering: set[int]

    @property
    def all(self) -> set[int]:
        return self.serving | self.delivering


@dataclass
class Server:
    """A server beside the app of the test, on the same database."""

    bellhop: Bellhop
    running: Running
    port: int

    def processes(self) -> Processes:
        """Return the current processes."""
        listening, parent = listening_sockets(self.port), self.running.process.pid
        found = Processes(set(), set())
        for pid in children(parent):
            role = found.serving if listening & sockets_of(pid) else found.delivering
            role.add(pid)
        return found

    def wait_for_processes(
        self, expected: Callable[[Processes], bool] = lambda _: True
    ) -> Processes:
        """Wait until the number of processes is right, and they are as `expected`."""

        def are_there() -> Processes | None:
            found = self.processes()
            is_complete = (len(found.serving), len(found.delivering)) == (WEB_PROCESSES, 1)
            return found if is_complete and expected(found) else None

        return wait_until(are_there)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> int:
        """Send a request on a new connection; return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def send(self, key: str, text: str = "hello") -> int:
        """Send a notification; return the status."""
        body = json.dumps({"to": GENERAL, "text": text}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        return self.request("POST", "/api/v1/notifications", body, headers)

    def assert_delivers(self, text: str) -> None:
        """Send a notification and wait until it was posted, once."""
        assert self.send(self.create_key(), text) == 202
        wait_until(lambda: self.posted(text) or None)
        assert self.posted(text) == 1

    def posted(self, text: str) -> int:
        messages = self.bellhop.slack.messages(GENERAL)
        return sum(text in f"{message.text} {message.attachments}" for message in messages)

    def create_key(self) -> str:
        return self.bellhop.services.api_keys.create(ACME, "ci")


def wait_until(happened: Callable[[], T | None]) -> T:
    """Wait for a result."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while (result := happened()) is None:
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)
    return result


def children(pid: int) -> set[int]:
    return {int(item) for item in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def listening_sockets(port: int) -> set[str]:
    """Return the listeners on a port (https://man7.org/linux/man-pages/man5/proc_pid_net.5.html)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")
    }


def sockets_of(pid: int) -> set[str]:
    try:
        return {os.readlink(item) for item in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


@contextmanager
def server_of(bellhop: Bellhop, command: tuple[str, ...], **settings: Any) -> Iterator[Server]:
    """Run the server with the settings of the test's app."""
    port = free_port()
    lines = (line.partition("=") for line in settings_file(bellhop).splitlines())
    environment = {
        **CLEAN,
        **{name: value for name, _, value in lines},
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WEB_PROCESSES),
        "CHANNEL_PER_MINUTE": "60000",
        "WORKSPACE_PER_MINUTE": "600000",
        "WORKER_THREADS": "8",
        **settings,
    }
    with started(command, environment) as running:
        running.wait_for("Bellhop is ready")
        yield Server(bellhop, running, port)


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    with quick_bellhop(database_url, encryption_key) as running:
        install_without_limits(running)
        yield running


@pytest.fixture
def server(bellhop: Bellhop) -> Iterator[Server]:
    with server_of(bellhop, APP) as server:
        server.wait_for_processes()
        yield server


def test_they_are_ready_soon_and_end_together(bellhop: Bellhop) -> None:
    with server_of(bellhop, APP) as server:
        assert server.request("GET", "/readyz") == 200
        server.assert_delivers("first")
        pids = server.wait_for_processes().all
        began = time.monotonic()
        assert server.running.end() == 0
        assert time.monotonic() - began < 10
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert not any("Traceback" in line for line in server.running.said)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_exactly_one_process_delivers(server: Server, tmp_path: Path) -> None:
    server.assert_delivers("one")

    assert len(list((tmp_path / "bellhop.db-wakeup").iterdir())) == 1


@pytest.mark.sqlite_only
def test_a_killed_web_process_is_replaced_and_the_others_serve_on(server: Server) -> None:
    before = server.wait_for_processes()
    killed = min(before.serving)
    os.kill(killed, signal.SIGKILL)

    after = server.wait_for_processes(lambda now: killed not in now.all)

    assert after.delivering == before.delivering
    assert server.request("GET", "/readyz") == 200
    server.assert_delivers("after the death of a web process")


def test_a_killed_delivery_process_is_replaced(server: Server) -> None:
    before = server.wait_for_processes()
    [killed] = before.delivering
    os.kill(killed, signal.SIGKILL)

    assert server.send(server.create_key(), "meanwhile") == 202

    after = server.wait_for_processes(lambda now: killed not in now.all)
    assert after.serving == before.serving
    wait_until(lambda: server.posted("meanwhile") or None)


@pytest.mark.sqlite_only
def test_a_reload_replaces_all_processes_and_one_delivers(server: Server) -> None:
    before = server.wait_for_processes()
    server.running.process.send_signal(signal.SIGHUP)

    server.wait_for_processes(lambda now: not now.all & before.all)

    server.assert_delivers("after the reload")


@pytest.mark.sqlite_only
def test_their_number_is_fixed(server: Server) -> None:
    before = server.wait_for_processes()
    for times, number in enumerate((signal.SIGTTOU, signal.SIGTTIN), start=1):
        server.running.process.send_signal(number)
        wait_until(lambda: "".join(server.running.said).count("is fixed") == times or None)  # noqa: B023

    assert server.processes() == before


@pytest.mark.parametrize("web_processes", ["1", "2"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_process_whose_delivery_worker_ends_is_replaced(
    bellhop: Bellhop, tmp_path: Path, web_processes: str
) -> None:
    command = (sys.executable, "-c", ENDING_DELIVERY, str(tmp_path / "ended"))
    with server_of(bellhop, command, WEB_CONCURRENCY=web_processes) as server:
        server.running.wait_for("the delivery worker has ended")

        assert server.send(server.create_key(), "after the end") == 202
        wait_until(lambda: server.posted("after the end") or None)
        assert server.running.end() == 0


def test_a_revoked_key_is_refused_by_every_process(server: Server) -> None:
    keys = server.bellhop.services.api_keys
    key = server.create_key()
    [record] = keys.of_team(ACME)
    assert {server.send(key) for _ in range(8)} == {202}

    keys.revoke(record.id)

    assert {server.send(key) for _ in range(8)} == {401}


def test_processes_share_the_limits_of_senders(bellhop: Bellhop) -> None:
    with server_of(bellhop, APP, SENDER_REQUESTS_PER_MINUTE="10") as server:
        while True:
            key, minute = server.create_key(), time.time() // 60
            with ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(server.send, [key] * 40))
            if time.time() // 60 == minute:
                break

    assert statuses.count(202) == 10
    assert statuses.count(429) == 30


def test_a_replayed_request_has_no_effect_in_any_process(server: Server) -> None:
    bellhop = server.bellhop
    body = command_body("/notify", "subscribe deploys")
    headers = signed(bellhop, body)
    assert server.request("POST", "/slack/events", body, headers) == 200
    subscriptions = bellhop.services.subscriptions
    assert subscriptions.unsubscribe(ACME, GENERAL, "deploys")

    with ThreadPoolExecutor(8) as pool:
        for _ in range(16):
            pool.submit(server.request, "POST", "/slack/events", body, headers)

    assert not subscriptions.unsubscribe(ACME, GENERAL, "deploys")
