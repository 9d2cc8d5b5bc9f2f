"""Accepting and posting notifications: throughput, latency and cost.

    .venv/bin/python -m benchmarks.delivery [--postgres URL] [--apprise URL] [--plots FOLDER]
    .venv/bin/python -m benchmarks.delivery --cost [--postgres URL] [--beside FOLDER]

One run measures everything from outside, over HTTP on the loopback: Bellhop as in production
(`python app.py`, or a worker), the stand-in for Slack in a separate process, and the load, all on
the same machine. `--postgres` names a database that may be emptied; `--apprise` the address of a
running apprise-api (https://github.com/caronc/apprise-api) for comparison. `--cost` measures only
the processor time of each post, with Slack over TLS; `--beside` names a checkout of another
revision, which alternates with this one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from werkzeug.wrappers import Response

from benchmarks.load import Run, quantile
from benchmarks.processes import cpu_seconds, family, resident_mebibytes
from benchmarks.stand_in import (
    CLIENT_ID,
    CLIENT_SECRET,
    PERSON,
    SIGNING_SECRET,
    TEAM,
    StandIn,
    running_stand_in,
)
from tests.certificates import self_signed
from tests.running import Browser, serving

ROOT = Path(__file__).resolve().parent.parent
APP_PORT, BARE_PORT = 13200, 13201
AT_ONCE = 8
WARM_UP_SECONDS, ACCEPT_SECONDS = 2.0, 6.0
OLD_ROWS = 1_000_000
IDLE_SECONDS = 20.0
COST_RUNS = 5
# A tenth of a second apart.
START_LOOKS = 1200


@dataclass
class Cost:
    """The processor time of the worker for each post, over TLS, in milliseconds."""

    runs: list[float] = field(default_factory=list)
    connections: int = 0

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)


@dataclass
class Results:
    """All measurements of one database."""

    database: str
    accept: dict[str, float] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    drain_seconds: float = 0.0
    drained: list[float] = field(default_factory=list)
    sustained: float = 0.0
    accept_empty: float = 0.0
    accept_full: float = 0.0
    cost: Cost | None = None
    idle_cpu_percent: float = 0.0
    resident_mib: float = 0.0


def main() -> None:
    """Measure, print the tables, and draw the plots."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="a database that may be emptied")
    parser.add_argument("--apprise", help="the address of a running apprise-api")
    parser.add_argument("--plots", type=Path, help="the folder to draw plots into")
    parser.add_argument("--cost", action="store_true", help="measure only the cost of posting")
    parser.add_argument("--beside", type=Path, help="a checkout to compare the cost with")
    arguments = parser.parse_args()
    databases = [("SQLite", "")]
    if arguments.postgres:
        databases.append(("PostgreSQL", arguments.postgres))
    if arguments.cost:
        roots = [ROOT, *([arguments.beside.resolve()] if arguments.beside else [])]
        for name, url in databases:
            print(cost_table(name, roots, costs(url, roots)))
        return
    results = [measure(name, url, arguments.apprise) for name, url in databases]
    print(table(results))
    if arguments.plots:
        from benchmarks.plots import draw

        draw(results, arguments.plots)


def measure(name: str, url: str, apprise: str | None) -> Results:
    """Measure everything on one database."""
    results = Results(name)
    say(f"{name}: accepting")
    with bellhop(url, channels=AT_ONCE) as deployment:
        results.accept["Bellhop"] = accept_rate(deployment)
        results.idle_cpu_percent, results.resident_mib = idle(deployment)
    with bare_view(url) as host:
        results.accept["a bare view"] = rate(host, "/rows", {}, message("#general"))
    if apprise:
        results.accept["apprise-api"] = apprise_rate(apprise)
    say(f"{name}: latency")
    with bellhop(url, channels=100) as deployment:
        results.latencies = latencies(deployment)
    say(f"{name}: draining 300 channels of 3 messages")
    with bellhop(url, channels=300) as deployment:
        results.drained = drain(deployment, each=3)
        results.drain_seconds = results.drained[-1]
    say(f"{name}: sustained, with Slack at 100 ms")
    with bellhop(url, channels=300, latency_ms=100, channel_per_minute=60_000) as deployment:
        results.sustained = sustained(deployment, each=8)
    [results.cost] = costs(url, [ROOT])
    say(f"{name}: accepting beside a million old rows")
    with bellhop(url, channels=AT_ONCE) as deployment:
        results.accept_empty = accept_rate(deployment)
        deployment.fill(OLD_ROWS)
        results.accept_full = accept_rate(deployment)
    return results


@dataclass
class Deployment:
    """A running and installed Bellhop."""

    host: str
    slack: StandIn
    key: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    root: Path

    def fill(self, rows: int) -> None:
        """Insert old, delivered notifications into the database."""
        run_python(["-m", "benchmarks.old_rows", TEAM, str(rows)], self.environment)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an API request."""
        return {"Authorization": f"Bearer {self.key}"}


@contextmanager
def bellhop(
    database_url: str,
    *,
    channels: int,
    latency_ms: int = 0,
    channel_per_minute: int = 60,
    root: Path = ROOT,
    certificate: Path | None = None,
    port: int = APP_PORT,
    **changes: str,
) -> Iterator[Deployment]:
    """Run Bellhop and a stand-in, with the default number of processes.

    Args:
        root: the checkout to run.
        certificate: the stand-in's certificate, for TLS.
        changes: additional environment variables.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = f"http://127.0.0.1:{port}"
        slack = stack.enter_context(
            running_stand_in(url, channels=channels, latency_ms=latency_ms, certificate=certificate)
        )
        environment = {
            **app_environment(folder, database_url, slack.url, port),
            "CHANNEL_PER_MINUTE": str(channel_per_minute),
            **({"SSL_CERT_FILE": str(certificate)} if certificate else {}),
            **changes,
        }
        if database_url:
            empty(database_url)
            flask(["db", "upgrade"], environment, root)
        process = stack.enter_context(running([sys.executable, "app.py"], environment, port, root))
        install(url, slack)
        created = flask(
            ["api-key", "create", "--team", TEAM, "--name", "benchmark"], environment, root
        )
        key = created.strip().splitlines()[-1]
        yield Deployment(f"127.0.0.1:{port}", slack, key, environment, process, root)


def app_environment(folder: str, database_url: str, slack_url: str, port: int) -> dict[str, str]:
    """Return the environment of a Bellhop without limits for senders and workspaces."""
    return {
        **os.environ,
        "FLASK_ENV_FILE": os.devnull,
        "DATA_DIR": folder,
        "DATABASE_URL": database_url,
        "ENCRYPTION_KEYS": "3cYhNWtmSYtcAyKvkwVfyLpx2vH0p4m0TRx7QfTQx2E=",
        "SESSION_SECRET": secrets.token_urlsafe(40),
        "SLACK_CLIENT_ID": CLIENT_ID,
        "SLACK_CLIENT_SECRET": CLIENT_SECRET,
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "SLACK_BASE_URL": slack_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "WORKSPACE_PER_MINUTE": "600000",
        # One key sends everything; limits are not measured.
        "SENDER_REQUESTS_PER_MINUTE": "10000000",
        "SENDER_DELIVERIES_PER_MINUTE": "10000000",
        "SENDER_OPEN_DELIVERIES": "10000000",
    }


@contextmanager
def bare_view(database_url: str) -> Iterator[str]:
    """Run the bare view under the same server as Bellhop."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "BARE_DATABASE_URL": sqlalchemy_url(database_url) or f"sqlite:///{folder}/bare.db",
        }
        command = [
            *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "16"),
            *("--bind", f"127.0.0.1:{BARE_PORT}", "--no-control-socket", "--keep-alive", "75"),
            "benchmarks.bare_view:create_bare_view()",
        ]
        with running(command, environment, BARE_PORT):
            yield f"127.0.0.1:{BARE_PORT}"


def accept_rate(deployment: Deployment) -> float:
    """Return the notifications accepted a second, with eight clients at once."""
    channels = deployment.slack.channels
    return rate(
        deployment.host,
        "/api/v1/notifications",
        deployment.headers,
        lambda number: message(channels[number % len(channels)])(number),
    )


def apprise_rate(url: str) -> float:
    """Return the notifications a second that apprise-api accepts and sends to a local receiver."""
    parts = urlsplit(url)
    with receiver() as address:
        body = {"urls": f"json://{address}", "title": "A title", "body": "A message"}
        return rate(parts.netloc, "/notify", {}, lambda _number: body)


def rate(
    host: str, path: str, headers: dict[str, str], body: Callable[[int], dict[str, Any]]
) -> float:
    """Return the requests answered a second, with eight clients at once."""
    run, lock = Run([]), threading.Lock()
    starts = time.perf_counter() + WARM_UP_SECONDS
    ends = starts + ACCEPT_SECONDS
    headers = {"Content-Type": "application/json", **headers}

    def work(client: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=30)
        while time.perf_counter() < ends:
            began = time.perf_counter()
            connection.request("POST", path, json.dumps(body(client)), headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status not in (200, 202):
                raise SystemExit(f"not accepted: {response.status} {answer[:300]!r}")
            with lock:
                if began >= starts:
                    run.times.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=work, args=(client,)) for client in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(run.times) / (time.perf_counter() - starts)


def message(to: str) -> Callable[[int], dict[str, Any]]:
    """Return every client's notification, as long as a typical alert."""
    body = {
        "to": to,
        "title": "Database db-3 is slow",
        "text": "p99 latency has been over *200 ms* for five minutes.",
        "severity": "warning",
        "fields": [{"name": "Service", "value": "orders"}, {"name": "Region", "value": "eu-1"}],
        "link": "https://grafana.example.com/d/42",
    }
    return lambda _number: body


def latencies(deployment: Deployment) -> list[float]:
    """Return the seconds from each 202 to Slack's receipt, one notification at a time."""
    deployment.slack.join()
    send_to_all(deployment, deployment.slack.channels, each=1)
    wait_for(deployment, len(deployment.slack.channels))
    time.sleep(1.5)  # the pace of a channel is not measured
    accepted_at = {}
    for channel in deployment.slack.channels:
        time.sleep(0.05)
        send_to_all(deployment, [channel], each=1)
        accepted_at[channel] = time.time()
    posted = wait_for(deployment, 2 * len(deployment.slack.channels))[
        len(deployment.slack.channels) :
    ]
    return [at - accepted_at[channel] for channel, at in posted]


def drain(deployment: Deployment, *, each: int) -> list[float]:
    """Return when each message was posted, in seconds since the first was accepted."""
    deployment.slack.join()
    began = time.time()
    send_to_all(deployment, deployment.slack.channels, each=each)
    posted = wait_for(deployment, each * len(deployment.slack.channels))
    by_channel: dict[str, list[float]] = defaultdict(list)
    for channel, at in posted:
        by_channel[channel].append(at)
    if any(len(times) != each for times in by_channel.values()):
        raise SystemExit("a message was posted twice or not at all")
    return [at - began for _, at in posted]


def sustained(deployment: Deployment, *, each: int) -> float:
    """Return the posts a second, from the first to the last, in many channels."""
    deployment.slack.join()
    send_to_all(deployment, deployment.slack.channels, each=each)
    posted = wait_for(deployment, each * len(deployment.slack.channels))
    return len(posted) / (posted[-1][1] - posted[0][1])


def costs(database_url: str, roots: list[Path]) -> list[Cost]:
    """Return the cost of a post for the worker of each checkout, in alternating runs."""
    found = [Cost() for _ in roots]
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed("127.0.0.1", Path(folder))
        for number in range(COST_RUNS):
            for root, cost in zip(roots, found, strict=True):
                say(f"the cost of a post, run {number + 1} of {COST_RUNS}: {root.name}")
                measure_cost(cost, database_url, root, certificate)
    return found


def measure_cost(cost: Cost, database_url: str, root: Path, certificate: Path) -> None:
    """Add the cost of a post for a separate worker process, including rendering and HTTP."""
    with (
        bellhop(
            database_url,
            channels=300,
            channel_per_minute=60_000,
            root=root,
            certificate=certificate,
            WORKER_THREADS="0",
        ) as deployment,
        worker(deployment) as process,
    ):
        deployment.slack.join()
        # The first posts connect, and fill caches.
        send_to_all(deployment, deployment.slack.channels, each=1)
        warm = len(wait_for(deployment, len(deployment.slack.channels)))
        connections, used = deployment.slack.connections(), cpu_seconds([process.pid])
        send_to_all(deployment, deployment.slack.channels, each=8)
        posts = len(wait_for(deployment, 9 * len(deployment.slack.channels))) - warm
        cost.runs.append(1000 * (cpu_seconds([process.pid]) - used) / posts)
        cost.connections = deployment.slack.connections() - connections


@contextmanager
def worker(deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    """Run a delivery worker in a separate process."""
    command = [sys.executable, "-m", "flask", "--app", "app", "worker"]
    environment = {**deployment.environment, "WORKER_THREADS": "64"}
    process = subprocess.Popen(command, cwd=deployment.root, env=environment)  # noqa: S603
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def send_to_all(deployment: Deployment, channels: list[str], *, each: int) -> None:
    """Send a number of notifications to each channel, in batches of a hundred."""
    connection = http.client.HTTPConnection(deployment.host, timeout=30)
    headers = {"Content-Type": "application/json", **deployment.headers}
    batch = [message(channel)(0) for _ in range(each) for channel in channels]
    for start in range(0, len(batch), 100):
        body = json.dumps(batch[start : start + 100])
        connection.request("POST", "/api/v1/notifications", body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 202:
            raise SystemExit(f"not accepted: {response.status} {answer[:300]!r}")
    connection.close()


def wait_for(deployment: Deployment, number: int) -> list[tuple[str, float]]:
    """Wait until a number of messages were posted; return all of them, oldest first."""
    ends = time.monotonic() + 120
    while len(posted := deployment.slack.posted_at()) < number:
        if time.monotonic() > ends:
            raise SystemExit(f"only {len(posted)} of {number} were posted")
        time.sleep(0.05)
    return sorted(posted, key=lambda one: one[1])


def idle(deployment: Deployment) -> tuple[float, float]:
    """Return the idle processor time, in percent of a core, and the memory."""
    wait_until_quiet(deployment)
    processes = family(deployment.process.pid)
    before = cpu_seconds(processes)
    time.sleep(IDLE_SECONDS)
    used = cpu_seconds(processes) - before
    return 100 * used / IDLE_SECONDS, resident_mebibytes(processes)


def wait_until_quiet(deployment: Deployment) -> None:
    """Cancel all waiting deliveries."""
    run_python(["-m", "benchmarks.old_rows", TEAM, "0"], deployment.environment)
    time.sleep(3)


@contextmanager
def running(
    command: list[str], environment: dict[str, str], port: int, root: Path = ROOT
) -> Iterator[Any]:
    """Run a server inside the context."""
    process = subprocess.Popen(command, cwd=root, env=environment)  # noqa: S603
    try:
        for _ in range(START_LOOKS):
            if process.poll() is not None:
                raise SystemExit(f"{command} ended with status {process.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.1)
            else:
                break
        else:
            raise SystemExit(f"{command} does not answer")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def receiver() -> Iterator[str]:
    """Run a receiver for apprise-api that answers at once."""
    with serving(Response("ok")) as (url, _server):
        yield urlsplit(url).netloc


def install(url: str, slack: StandIn, person: str = PERSON) -> None:
    """Install as a person: click Add to Slack and approve."""
    browser = Browser(url)
    landed = browser.get(slack.authorize(browser.get("/slack/install").location, person))
    if landed.status not in (200, 303):
        raise SystemExit(f"the install of {person} failed: {landed.status}")


def flask(arguments: list[str], environment: dict[str, str], root: Path) -> str:
    """Run one of Bellhop's commands and return what it prints."""
    return run_python(["-m", "flask", "--app", "app", *arguments], environment, root)


def run_python(arguments: list[str], environment: dict[str, str], root: Path = ROOT) -> str:
    """Run a Python module and return what it prints."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, *arguments],
        cwd=root,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def empty(database_url: str) -> None:
    """Empty a PostgreSQL database, or the schema that its address has as the search path."""
    from sqlalchemy import create_engine, text

    engine = create_engine(sqlalchemy_url(database_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT quote_ident(current_schema())"))
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()


def sqlalchemy_url(database_url: str) -> str:
    """Return the address with SQLAlchemy's driver name."""
    return database_url.replace("postgresql://", "postgresql+psycopg://", 1)


def say(what: str) -> None:
    """Print progress."""
    print(what, file=sys.stderr, flush=True)


def table(results: list[Results]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| | " + " | ".join(one.database for one in results) + " |"]
    lines.append("| --- |" + " ---: |" * len(results))

    def row(name: str, value: Callable[[Results], str]) -> None:
        lines.append(f"| {name} | " + " | ".join(value(one) for one in results) + " |")

    for name in results[0].accept:
        row(f"accepted a second: {name}", lambda one, name=name: f"{one.accept[name]:.0f}")  # type: ignore[misc]
    row(
        "ratio to the bare view",
        lambda one: ratio(one.accept["Bellhop"], one.accept["a bare view"]),
    )
    row("from 202 to Slack, p50", lambda one: f"{quantile(one.latencies, 50):.0f} ms")
    row("from 202 to Slack, p99", lambda one: f"{quantile(one.latencies, 99):.0f} ms")
    row("300 channels of 3 messages", lambda one: f"{one.drain_seconds:.2f} s")
    row("ratio to the pace alone (2 s)", lambda one: ratio(one.drain_seconds, 2))
    row("posts a second, Slack at 100 ms", lambda one: f"{one.sustained:.0f}")
    row(
        "CPU of the worker for a post over TLS",
        lambda one: f"{one.cost.median:.2f} ms" if one.cost else "",
    )
    row(
        "cost of accepting beside a million old rows",
        lambda one: ratio(one.accept_empty, one.accept_full),
    )
    row("idle, of one core", lambda one: f"{one.idle_cpu_percent:.2f} %")
    row("memory", lambda one: f"{one.resident_mib:.0f} MiB")
    return "\n".join(lines)


def cost_table(name: str, roots: list[Path], found: list[Cost]) -> str:
    """Return the costs as a Markdown table: each run and the median."""
    lines = [f"| {name} | CPU for a post, ms | runs | connections for 2,400 posts |"]
    lines.append("| --- | ---: | --- | ---: |")
    for root, cost in zip(roots, found, strict=True):
        runs = " ".join(f"{one:.2f}" for one in cost.runs)
        lines.append(f"| {root.name} | {cost.median:.2f} | {runs} | {cost.connections} |")
    return "\n".join(lines)


def ratio(ours: float, theirs: float) -> str:
    """Return a ratio, for the table."""
    return f"{ours / theirs:.2f}"


if __name__ == "__main__":
    main()
