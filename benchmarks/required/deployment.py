"""Bellhop installed in many workspaces, with the web in one process and workers in others."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.delivery import (
    ROOT,
    app_environment,
    empty,
    flask,
    install,
    message,
    run_python,
    running,
)
from benchmarks.message_sink import MessageSink, Posts, message_sink
from benchmarks.stand_in import TEAM, running_stand_in

BATCH = 100
# Long enough for a busy machine.
MOST_SECONDS = 180.0
STOP_SECONDS = 30.0
# Below those that Linux gives to connections.
PORTS = range(14_000, 32_000)
# The defaults: Slack accepts about a message a second for each channel, and five in total.
SLACKS_PACE = {"CHANNEL_PER_MINUTE": "60", "WORKSPACE_PER_MINUTE": "300"}
# Runs on any revision, and prints a key for each workspace.
_KEYS = """
import sys
from bolt_app.application import create_app
from bolt_app.config import load_settings
services = create_app(load_settings()).extensions["bellhop"]
for team_id in sys.argv[1:]:
    print(services.api_keys.create(team_id, "benchmark"))
services.close()
"""


@dataclass
class Deployment:
    """A running Bellhop.

    Attributes:
        root: its checkout.
        folder: its files and logs.
        keys: the API key of each workspace.
        server: the process of `python app.py`.
    """

    root: Path
    folder: Path
    sink: MessageSink
    environment: dict[str, str]
    keys: dict[str, str]
    server: subprocess.Popen[bytes]
    _workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def teams(self) -> list[str]:
        """All workspaces except the first."""
        return list(self.keys)[1:]

    def send(self, team_id: str, channels: Sequence[str], **changes: Any) -> float:
        """Send one notification to each channel; return when the last one was accepted."""
        port = int(self.environment["PORT"])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {self.keys[team_id]}"
        bodies = [{**message(channel)(0), **changes} for channel in channels]
        for start in range(0, len(bodies), BATCH):
            body = json.dumps(bodies[start : start + BATCH])
            connection.request("POST", "/api/v1/notifications", body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 202:
                raise SystemExit(f"not accepted: {response.status} {answer[:300]!r}")
        connection.close()
        return time.time()

    def start_worker(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        command = [sys.executable, "-m", "flask", "--app", "app", "worker"]
        environment = {**self.environment, "WORKER_THREADS": "8", **changes}
        log = self.folder / f"worker-{len(self._workers)}"
        with log.open("wb") as output:
            worker = subprocess.Popen(  # noqa: S603
                command, cwd=self.root, env=environment, stdout=output, stderr=output
            )
        self._workers.append(worker)
        return worker

    def start_ready_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it logs that it delivers."""
        log = self.folder / f"worker-{len(self._workers)}"
        worker = self.start_worker(LOG_LEVEL="INFO")
        wait_until(lambda: b" delivering" in log.read_bytes(), "a started worker")
        return worker

    def running(self) -> list[subprocess.Popen[bytes]]:
        """Return the workers that have not ended."""
        return [one for one in self._workers if one.poll() is None]

    def stop_workers(self) -> None:
        """End all workers."""
        for worker in self.running():
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                raise

    def wait_for(self, number: int) -> Posts:
        """Wait until a number of messages were posted; return all of them, oldest first."""
        wait_until(lambda: self.sink.count() >= number, f"{number} posts")
        return self.sink.posts()


@contextmanager
def installed(
    database_url: str,
    changes: Mapping[str, str],
    *,
    workspaces: int,
    channels: int = 0,
    root: Path = ROOT,
    latency_ms: int = 0,
) -> Iterator[Deployment]:
    """Run Bellhop, installed in one workspace and a number of others.

    Args:
        changes: additional environment variables.
        channels: the number of channels in each of the others.
        root: the checkout to run.
        latency_ms: the time of Slack's answer to a message.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        slack = stack.enter_context(running_stand_in(url, channels=1))
        sink = stack.enter_context(message_sink(slack.url, latency_ms=latency_ms))
        environment = {**app_environment(folder, database_url, sink.url, port), **changes}
        if database_url:
            empty(database_url)
            flask(["db", "upgrade"], environment, root)
        command = [sys.executable, "app.py"]
        server = stack.enter_context(running(command, environment, port, root))
        install(url, slack)
        teams = [TEAM]
        for number in range(workspaces):
            team_id, person = slack.add_workspace(number, channels)
            install(url, slack, person)
            teams.append(team_id)
        slack.join()
        printed = run_python(["-c", _KEYS, *teams], environment, root)
        keys = dict(zip(teams, printed.split(), strict=True))
        deployment = Deployment(root, Path(folder), sink, environment, keys, server)
        stack.callback(deployment.stop_workers)
        yield deployment


def wait_until(is_true: Callable[[], bool], words: str, seconds: float = MOST_SECONDS) -> None:
    """Check a condition every few milliseconds until it is true."""
    ends = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > ends:
            raise SystemExit(f"not within {seconds:.0f} s: {words}")
        time.sleep(0.01)


def free_port() -> int:
    """Return a free port outside the range of outgoing connections."""
    while True:
        port = random.choice(PORTS)  # noqa: S311
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
