"""The time from the start of `python app.py` until it is ready.

    .venv/bin/python -m benchmarks.start_up [--postgres URL] [--repeat N]

The first start creates the SQLite database; later starts find it current, as a restart does. Ready
is a 200 from `/readyz`. Processor time does not depend on other load. One schema is created and
migrated in the database of `--postgres`.
"""

from __future__ import annotations

import argparse
import http.client
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.fernet import Fernet

from benchmarks.cores import schema_of
from benchmarks.interactions import ROOT
from benchmarks.processes import cpu_seconds, family

# Names the schema, which the next run reuses.
SCHEMA = 13310
PAUSE_SECONDS, MOST_SECONDS = 0.005, 60.0


@dataclass(frozen=True)
class Start:
    """One start: seconds until ready, and the processor time of all processes by then."""

    seconds: float
    cpu_seconds: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="a database in which a schema is created")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    rows: list[tuple[str, Sequence[Start]]] = []
    for name, url in (("SQLite", ""), ("PostgreSQL", arguments.postgres)):
        if url is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            environment = environment_of(folder, url)
            if url:
                migrate(environment)
            else:
                rows.append((f"{name}, first start", [start(environment)]))
            again = [start(environment) for _ in range(arguments.repeat)]
            rows.append((f"{name}, migrated", again))
    print(table(rows))


def environment_of(folder: str, database_url: str) -> dict[str, str]:
    """Return the settings of a separate Bellhop with the default values."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    return {
        **os.environ,
        "FLASK_SKIP_DOTENV": "1",
        "SLACK_CLIENT_ID": "1.2",
        "SLACK_CLIENT_SECRET": "secret",
        "SLACK_SIGNING_SECRET": "0123456789abcdef0123456789abcdef",
        "PUBLIC_URL": "https://bellhop.example",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": folder,
        "DATABASE_URL": schema_of(database_url, SCHEMA),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SESSION_SECRET": secrets.token_hex(32),
        "LOG_LEVEL": "WARNING",
    }


def migrate(environment: dict[str, str]) -> None:
    """Upgrade the schema of a PostgreSQL database."""
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)  # noqa: S603


def start(environment: dict[str, str]) -> Start:
    """Start Bellhop, wait until it is ready, and stop it."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    try:
        while not is_ready(int(environment["PORT"])):
            if process.poll() is not None or time.perf_counter() - began > MOST_SECONDS:
                raise SystemExit("the app did not start")
            time.sleep(PAUSE_SECONDS)
        return Start(time.perf_counter() - began, cpu_seconds(family(process.pid)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def is_ready(port: int) -> bool:
    """Whether `/readyz` answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def table(rows: Sequence[tuple[str, Sequence[Start]]]) -> str:
    """Return the medians as a Markdown table."""
    lines = ["| Start | until ready | processor time |", "| --- | ---: | ---: |"]
    for name, starts in rows:
        seconds = statistics.median(one.seconds for one in starts)
        cpu = statistics.median(one.cpu_seconds for one in starts)
        lines.append(f"| {name} | {seconds:.2f} s | {cpu:.2f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
