"""Signed slash commands: Bellhop beside Bolt with slack_sdk's SQLAlchemy store, in one run.

    .venv/bin/python -m benchmarks.interactions

Both run under gunicorn with one process of 16 threads on SQLite, each beside its own stand-in for
Slack, which answers in 0 and in 100 ms. Measured from outside, over HTTP on the loopback: one
request after another, then eight at once, and how often Slack was called for a request.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from slack_sdk.signature import SignatureVerifier

ROOT = Path(__file__).resolve().parent.parent
ANN, ACME = "U0ANN00001", "T0ACME0001"
AT_ONCE = 8
SECONDS = 6.0
ALONE = 200
SLACK_MILLISECONDS = (0, 100)
APP_PORT, SLACK_PORT = 13000, 13100


@dataclass(frozen=True)
class Contender:
    """One of the two apps, and how gunicorn serves it."""

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
    """What was measured of one contender."""

    name: str
    slack_ms: int
    alone_p50_ms: float
    alone_p99_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float
    slack_calls: float


def main() -> None:
    """Measure and print a table."""
    results = [measure(one, ms) for ms in SLACK_MILLISECONDS for one in CONTENDERS]
    print(table(results))


def measure(contender: Contender, slack_ms: int) -> Result:
    """Start a contender beside its own stand-in and measure it."""
    secret = secrets.token_hex(16)
    with running(contender, slack_ms, secret) as (app, slack):
        install(app)
        send(http.client.HTTPConnection(app), secret)
        before = calls(slack)
        alone = run_for(app, secret, at_once=1, requests=ALONE if slack_ms == 0 else ALONE // 4)
        together = run_for(app, secret, at_once=AT_ONCE, seconds=SECONDS)
        sent = len(alone.times) + len(together.times)
        return Result(
            contender.name,
            slack_ms,
            quantile(alone.times, 50),
            quantile(alone.times, 99),
            len(together.times) / together.elapsed,
            quantile(together.times, 50),
            quantile(together.times, 99),
            (calls(slack) - before) / sent,
        )


@contextmanager
def running(contender: Contender, slack_ms: int, secret: str) -> Iterator[tuple[str, str]]:
    """Run the stand-in and, by it, the contender; yield both their host:port."""
    app, slack = f"127.0.0.1:{APP_PORT}", f"127.0.0.1:{SLACK_PORT}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DATA_DIR": folder,
            "DATABASE_URL": "",
            "ENCRYPTION_KEYS": "",
            "SESSION_SECRET": "",
            "LOG_LEVEL": "WARNING",
            "BASELINE_DATABASE_URL": f"sqlite:///{folder}/baseline.db",
        }
        process = subprocess.Popen(  # noqa: S603
            [
                sys.executable,
                "-m",
                "bolt_app.sandbox",
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
            yield app, slack
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
    """Return how many Web API calls the stand-in has answered."""
    counts: dict[str, int] = json.loads(get(slack, "/sandbox/calls")[1])["counts"]
    return sum(counts.values())


def send(connection: http.client.HTTPConnection, secret: str) -> float:
    """Send one signed command and return how long its answer took, in seconds."""
    body = urlencode(
        {
            "command": "/profile",
            "text": "",
            "team_id": ACME,
            "team_domain": "acme",
            "user_id": ANN,
            "user_name": "ann",
            "channel_id": "C0ACME0001",
            "channel_name": "general",
            "api_app_id": "A0BELLHOP01",
            "is_enterprise_install": "false",
            "trigger_id": "1.2.3",
            "response_url": "http://127.0.0.1:9/never",
        }
    )
    stamp = str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
    }
    began = time.perf_counter()
    connection.request("POST", "/slack/events", body=body, headers=headers)
    response = connection.getresponse()
    answer = response.read()
    took = time.perf_counter() - began
    if response.status != 200 or (b"Ann" not in answer and ANN.encode() not in answer):
        raise SystemExit(f"not answered: {response.status} {answer[:200]!r}")
    return took


@dataclass
class Run:
    """The times of one run, in seconds, and how long all of it took."""

    times: list[float]
    elapsed: float = 0.0


def run_for(
    app: str, secret: str, *, at_once: int, seconds: float = 3600.0, requests: int = 10**9
) -> Run:
    """Send commands over kept connections until time or number is up."""
    run, lock, ends = Run([]), threading.Lock(), time.perf_counter() + seconds

    def work() -> None:
        connection = http.client.HTTPConnection(app, timeout=30)
        while time.perf_counter() < ends and len(run.times) < requests:
            took = send(connection, secret)
            with lock:
                run.times.append(took)
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.elapsed = time.perf_counter() - began
    return run


def quantile(times: list[float], percent: int) -> float:
    """Return a percentile of `times`, in milliseconds."""
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1] * 1000


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table, with the ratio of each pair."""
    lines = [
        "| Slack answers in | | alone p50 | alone p99 | 8 at once | p50 | p99 | calls to Slack |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for ours, theirs in zip(results[::2], results[1::2], strict=True):
        for one in (ours, theirs):
            lines.append(
                f"| {one.slack_ms} ms | {one.name} | {one.alone_p50_ms:.1f} ms "
                f"| {one.alone_p99_ms:.1f} ms | {one.per_second:.0f}/s | {one.p50_ms:.1f} ms "
                f"| {one.p99_ms:.1f} ms | {one.slack_calls:.2f} |"
            )
        lines.append(
            f"| {ours.slack_ms} ms | ratio | {theirs.alone_p50_ms / ours.alone_p50_ms:.1f} x "
            f"| {theirs.alone_p99_ms / ours.alone_p99_ms:.1f} x "
            f"| {ours.per_second / theirs.per_second:.1f} x | {theirs.p50_ms / ours.p50_ms:.1f} x "
            f"| {theirs.p99_ms / ours.p99_ms:.1f} x | |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
