"""One web process compared with one for each core: the speed of accepting and of posting.

    .venv/bin/python -m benchmarks.cores [--postgres URL] [--processes N] [--repeat N]

Two instances of Bellhop run at the same time and get alternating requests, one at a time and at a
steady rate, so that other load on the machine affects both. The maximum rate is measured on one
after the other. Load and stand-ins are on the same machine: compare only ratios. Two schemas are
created and emptied in the database of `--postgres`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from sqlalchemy import create_engine, make_url, text

from benchmarks.delivery import (
    AT_ONCE,
    Deployment,
    bellhop,
    message,
    say,
    sqlalchemy_url,
    wait_for,
)
from benchmarks.load import quantile
from benchmarks.processes import cpu_seconds, family, resident_mebibytes

PORTS = (13210, 13211)
CHANNELS = 50
PAUSE_SECONDS = 0.05
PER_SECOND = 60
WARM_UP_SECONDS, BUSY_SECONDS = 1.0, 6.0


@dataclass
class Measured:
    """Measurements with one number of web processes."""

    alone: list[float] = field(default_factory=list)
    posted: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print a table for each database."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="a database in which two schemas are created")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    for name, url in (("SQLite", ""), ("PostgreSQL", arguments.postgres)):
        if url is None:
            continue
        compared = {1: Measured(), arguments.processes: Measured()}
        for number in range(arguments.repeat):
            say(f"{name}: {number + 1} of {arguments.repeat}")
            measure(url, compared)
        print(table(name, compared))


def measure(url: str, compared: dict[int, Measured]) -> None:
    """Measure each number of processes once."""
    with ExitStack() as stack:
        deployments = [
            stack.enter_context(
                bellhop(
                    schema_of(url, port), channels=CHANNELS, port=port, WEB_CONCURRENCY=str(count)
                )
            )
            for count, port in zip(compared, PORTS, strict=True)
        ]
        for deployment in deployments:
            deployment.slack.join()
        in_turns(deployments, list(compared.values()))
        at_a_steady_rate(deployments, list(compared.values()))
        for deployment, measured in zip(deployments, compared.values(), strict=True):
            busy(deployment, measured)


def schema_of(url: str, port: int) -> str:
    """Create a schema if it is missing, and return the address that uses it."""
    if not url:
        return ""
    schema = f"bellhop_{port}"
    engine = create_engine(sqlalchemy_url(url))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    engine.dispose()
    with_schema = make_url(url).update_query_dict({"options": f"-csearch_path={schema}"})
    return with_schema.render_as_string(hide_password=False)


def in_turns(deployments: Sequence[Deployment], measured: Sequence[Measured]) -> None:
    """Send one notification at a time, alternating between otherwise idle deployments."""
    connections = [
        http.client.HTTPConnection(deployment.host, timeout=30) for deployment in deployments
    ]
    accepted_at: list[dict[str, float]] = [{} for _ in deployments]
    # The first to each channel looks the channel up, and is not counted.
    for number in range(2 * CHANNELS):
        for deployment, connection, accepted, ours in zip(
            deployments, connections, accepted_at, measured, strict=True
        ):
            channel = deployment.slack.channels[number % CHANNELS]
            time.sleep(PAUSE_SECONDS)
            began = time.time()
            post(deployment, connection, channel)
            accepted[channel] = time.time()
            if number >= CHANNELS:
                ours.alone.append(accepted[channel] - began)
    for deployment, accepted, ours in zip(deployments, accepted_at, measured, strict=True):
        last = dict(wait_for(deployment, 2 * CHANNELS))
        ours.posted += [last[channel] - at for channel, at in accepted.items()]


def at_a_steady_rate(deployments: Sequence[Deployment], measured: Sequence[Measured]) -> None:
    """Send to alternating deployments at a steady rate, without waiting for earlier answers."""
    local, starts = threading.local(), time.perf_counter() + WARM_UP_SECONDS

    def send(number: int) -> float:
        deployment = deployments[number % len(deployments)]
        connections = local.__dict__.setdefault("connections", {})
        if deployment.host not in connections:
            connections[deployment.host] = http.client.HTTPConnection(deployment.host, timeout=30)
        due = starts + number / (PER_SECOND * len(deployments))
        time.sleep(max(0.0, due - time.perf_counter()))
        post(deployment, connections[deployment.host], deployment.slack.channels[number % CHANNELS])
        return time.perf_counter() - due

    count = round(PER_SECOND * BUSY_SECONDS) * len(deployments)
    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        times = list(pool.map(send, range(count)))
    for number, ours in enumerate(measured):
        # The first requests open connections.
        ours.steady += times[number :: len(deployments)][PER_SECOND:]


def busy(deployment: Deployment, measured: Measured) -> None:
    """Send with eight clients without pauses."""
    pids = family(deployment.process.pid)
    starts, before = time.perf_counter(), cpu_seconds(pids)

    def work(client: int) -> list[tuple[float, float]]:
        connection, times = http.client.HTTPConnection(deployment.host, timeout=30), []
        while (began := time.perf_counter()) < starts + BUSY_SECONDS:
            post(deployment, connection, deployment.slack.channels[client])
            times.append((began - starts, time.perf_counter() - began))
        connection.close()
        return times

    with ThreadPoolExecutor(AT_ONCE) as pool:
        times = [elapsed for result in pool.map(work, range(AT_ONCE)) for elapsed in result]
    measured.cpu_ms.append(1000 * (cpu_seconds(pids) - before) / len(times))
    counted = [seconds for began, seconds in times if began >= WARM_UP_SECONDS]
    measured.together += counted
    measured.per_second.append(len(counted) / (BUSY_SECONDS - WARM_UP_SECONDS))
    measured.mebibytes.append(resident_mebibytes(pids))


def post(deployment: Deployment, connection: http.client.HTTPConnection, channel: str) -> None:
    """Send a notification, and wait for the answer."""
    headers = {"Content-Type": "application/json", **deployment.headers}
    body = json.dumps(message(channel)(0))
    connection.request("POST", "/api/v1/notifications", body, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 202:
        raise SystemExit(f"not accepted: {response.status} {answer[:300]!r}")


def table(name: str, compared: dict[int, Measured]) -> str:
    """Return the results as a Markdown table, with the ratio of the last to the first."""
    heads = [f"{count} web process{'es' if count > 1 else ''}" for count in compared]
    lines = [f"| {name} | " + " | ".join(heads) + " | ratio |", "| --- |" + " ---: |" * 3]
    results = list(compared.values())

    def row(label: str, values: Sequence[float], unit: str) -> None:
        shown = " | ".join(f"{value:.1f} {unit}".rstrip() for value in values)
        lines.append(f"| {label} | {shown} | {values[-1] / values[0]:.2f} |")

    for label, of in (
        ("accepting, one at a time", [each.alone for each in results]),
        ("from 202 to Slack, one at a time", [each.posted for each in results]),
        (f"accepting, {PER_SECOND} a second", [each.steady for each in results]),
        (f"accepting, {AT_ONCE} clients at once", [each.together for each in results]),
    ):
        for percent in (50, 99):
            row(f"{label}, p{percent}", [quantile(times, percent) for times in of], "ms")
    row("accepted a second", [mean(each.per_second) for each in results], "")
    row("processor time of each", [mean(each.cpu_ms) for each in results], "ms")
    row("memory", [mean(each.mebibytes) for each in results], "MiB")
    return "\n".join(lines)


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
