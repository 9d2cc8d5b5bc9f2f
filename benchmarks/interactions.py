"""Signed requests to Bellhop, and to Bolt with slack_sdk's SQLAlchemy store, in one run.

    .venv/bin/python -m benchmarks.interactions

Both run under gunicorn with one process of 16 threads on SQLite, each with its own stand-in for
Slack, which answers in 0 and in 100 ms. Measured from outside, over HTTP on the loopback: one
connection, then eight. For the eight also the calls to Slack and the processor time for each
request, including delivery workers and other processes.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.load import Load, generator, put_load
from benchmarks.processes import cpu_seconds, family
from benchmarks.signed_requests import ACME, ANN, COMMAND, INTERACTIONS, Interaction, sign

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 8
SECONDS, WARM_UP_SECONDS = 6, 1
# More than either app answers in the time of a measurement.
MOST_PER_SECOND = 5000
# With a slow Slack most of the time is Slack's: one kind of request is enough.
MEASURED = [*((0, one) for one in INTERACTIONS), (100, COMMAND)]
APP_PORT, SLACK_PORT = 13000, 13100


@dataclass(frozen=True)
class Contender:
    """One of the two apps, and its gunicorn settings."""

    name: str
    command: tuple[str, ...]


GUNICORN = (sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "16")
CONTENDERS = (
    Contender("Bellhop", (sys.executable, "app.py")),
    Contender(
        "Bolt + slack_sdk's SQLAlchemy store",
        (
            *GUNICORN,
            "--bind",
            f"127.0.0.1:{APP_PORT}",
            "--no-control-socket",
            "benchmarks.bolt_baseline:create_baseline()",
        ),
    ),
)


@dataclass(frozen=True)
class Result:
    """Figures of one contender with one kind of request."""

    name: str
    slack_ms: int
    interaction: Interaction
    alone: Load
    together: Load
    cpu_ms: float
    slack_calls: float


def main() -> None:
    """Measure and print a table."""
    pairs = [[measure(one, *measured) for one in CONTENDERS] for measured in MEASURED]
    print(f"Load by {generator()}, {AT_ONCE} connections.\n\n{table(pairs)}")


def measure(contender: Contender, slack_ms: int, interaction: Interaction) -> Result:
    """Start a contender with its own stand-in and measure it."""
    secret = secrets.token_hex(16)
    with running(contender, slack_ms, secret) as (app, slack, processes):
        install(app)
        requests = sign(interaction, secret, MOST_PER_SECOND * (2 * SECONDS + WARM_UP_SECONDS))

        def load(connections: int, seconds: int) -> Load:
            url = f"http://{app}/slack/events"
            load = put_load(
                url, requests, interaction.answer, connections=connections, seconds=seconds
            )
            # Requests that were already sent would be replays.
            del requests[: load.answers + connections]
            return load

        load(AT_ONCE, WARM_UP_SECONDS)
        alone = load(1, SECONDS)
        calls_before, cpu_before = calls(slack), cpu_seconds(processes)
        together = load(AT_ONCE, SECONDS)
        cpu_ms = (cpu_seconds(processes) - cpu_before) * 1000 / together.answers
        slack_calls = (calls(slack) - calls_before) / together.answers
    return Result(contender.name, slack_ms, interaction, alone, together, cpu_ms, slack_calls)


@contextmanager
def running(
    contender: Contender, slack_ms: int, secret: str
) -> Iterator[tuple[str, str, list[int]]]:
    """Run the stand-in, which runs the contender.

    Yields: the host:port of both, and the ids of the contender's processes.
    """
    app, slack = f"127.0.0.1:{APP_PORT}", f"127.0.0.1:{SLACK_PORT}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DATA_DIR": folder,
            "DATABASE_URL": "",
            "ENCRYPTION_KEYS": "",
            "SESSION_SECRET": "",
            "LOG_LEVEL": "WARNING",
            # The same number as Bolt's.
            "WEB_CONCURRENCY": "1",
            "BASELINE_DATABASE_URL": f"sqlite:///{folder}/baseline.db",
        }
        process = subprocess.Popen(  # noqa: S603
            [
                sys.executable,
                "-m",
                "slack_sandbox",
                "--port",
                str(SLACK_PORT),
                "--manifest",
                "manifest.yml",
                "--app-url",
                f"http://{app}",
                "--signing-secret",
                secret,
                "--no-rate-limits",
                "--latency-ms",
                str(slack_ms),
                "--run",
                *contender.command,
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_up(app, process)
            yield app, slack, family(process.pid)[1:]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_up(app: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for the app's first answer."""
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"the app ended with status {process.returncode}")
        try:
            get(app, "/healthz")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the app did not start")


def get(host: str, path: str, headers: dict[str, str] | None = None) -> tuple[Any, str]:
    """GET a path; return the response and its body."""
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


def install(app: str) -> None:
    """Let Ann click Add to Slack and approve."""
    to_slack, _ = get(app, "/slack/install")
    page = urlsplit(to_slack.headers["Location"])
    form = urlencode({"decision": "allow", "who": f"{ACME}:{ANN}"})
    connection = http.client.HTTPConnection(page.netloc, timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"{page.path}?{page.query}", body=form, headers=headers)
    approved = connection.getresponse()
    approved.read()
    connection.close()
    callback = urlsplit(approved.headers["Location"])
    cookie = to_slack.headers["Set-Cookie"].split(";")[0]
    landed, body = get(app, f"{callback.path}?{callback.query}", {"Cookie": cookie})
    if landed.status not in (200, 303):
        raise SystemExit(f"the install failed: {re.sub('<[^>]+>', ' ', body)[:500]}")


def calls(slack: str) -> int:
    """Return the number of Web API calls that the stand-in has answered."""
    counts: dict[str, int] = json.loads(get(slack, "/sandbox/calls")[1])["counts"]
    return sum(counts.values())


def table(pairs: list[list[Result]]) -> str:
    """Return the results as a Markdown table, with the ratio of each pair."""
    lines = [
        "| Request | Slack answers in | | alone p50 | alone p99 | 8 at once | p50 | p99 "
        "| CPU a request | calls to Slack |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for ours, theirs in pairs:
        lines += [row(ours), row(theirs), row_of_ratios(ours, theirs)]
    return "\n".join(lines)


def row(one: Result) -> str:
    """Return one contender's row."""
    return (
        f"| {one.interaction.name} | {one.slack_ms} ms | {one.name} | {one.alone.p50_ms:.1f} ms "
        f"| {one.alone.p99_ms:.1f} ms | {one.together.per_second:.0f}/s "
        f"| {one.together.p50_ms:.1f} ms | {one.together.p99_ms:.1f} ms | {one.cpu_ms:.2f} ms "
        f"| {one.slack_calls:.2f} |"
    )


def row_of_ratios(ours: Result, theirs: Result) -> str:
    """Return the factor by which Bellhop is better."""
    return (
        f"| {ours.interaction.name} | {ours.slack_ms} ms | ratio "
        f"| {theirs.alone.p50_ms / ours.alone.p50_ms:.1f} x "
        f"| {theirs.alone.p99_ms / ours.alone.p99_ms:.1f} x "
        f"| {ours.together.per_second / theirs.together.per_second:.1f} x "
        f"| {theirs.together.p50_ms / ours.together.p50_ms:.1f} x "
        f"| {theirs.together.p99_ms / ours.together.p99_ms:.1f} x "
        f"| {theirs.cpu_ms / ours.cpu_ms:.1f} x | |"
    )


if __name__ == "__main__":
    main()
