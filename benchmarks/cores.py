"""One web process beside all cores: how fast each accepts, and how fast it posts what it accepted.

    .venv/bin/python -m benchmarks.cores [--postgres URL] [--processes N] [--repeat N]

Two Bellhops run at the same time and get requests in turns, one at a time and at a steady rate, so
that whatever else the machine does falls on both. How much each takes at most is measured on one
after the other. Load and stand-ins are on the same machine: compare ratios alone. In the database
that `--postgres` names two schemas are made, and emptied.
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
    MessagePosition,
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
    parser.add_argument("--postgres", help="a database to make two schemas in")
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
        places = [
            stack.enter_context(
                bellhop(
                    schema_of(url, port), channels=CHANNELS, port=port, WEB_CONCURRENCY=str(count)
                )
            )
            for count, port in zip(compared, PORTS, strict=True)
        ]
        for place in places:
            place.slack.join()
        in_turns(places, list(compared.values()))
        at_a_steady_rate(places, list(compared.values()))
        for place, measured in zip(places, compared.values(), strict=True):
            busy(place, measured)


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


def in_turns(places: Sequence[MessagePosition], measured: Sequence[Measured]) -> None:
    """Send one notification at a time, to each place in turns, while nothing else is to do."""
    connections = [http.client.HTTPConnection(place.host, timeout=30) for place in places]
    accepted_at: list[dict[str, float]] = [{} for _ in places]
    # The first to each channel finds out about it, and is not counted.
    for number in range(2 * CHANNELS):
        for place, connection, accepted, ours in zip(
            places, connections, accepted_at, measured, strict=True
        ):
            channel = place.slack.channels[number % CHANNELS]
            time.sleep(PAUSE_SECONDS)
            began = time.time()
            post(place, connection, channel)
            accepted[channel] = time.time()
            if number >= CHANNELS:
                ours.alone.append(accepted[channel] - began)
    for place, accepted, ours in zip(places, accepted_at, measured, strict=True):
        last = dict(wait_for(place, 2 * CHANNELS))
        ours.posted += [last[channel] - at for channel, at in accepted.items()]


def at_a_steady_rate(places: Sequence[MessagePosition], measured: Sequence[Measured]) -> None:
    """Send to each place in turns, at a steady rate, whether or not the last was answered."""
    local, starts = threading.local(), time.perf_counter() + WARM_UP_SECONDS

    def send(number: int) -> float:
        place = places[number % len(places)]
        connections = local.__dict__.setdefault("connections", {})
        if place.host not in connections:
            connections[place.host] = http.client.HTTPConnection(place.host, timeout=30)
        due = starts + number / (PER_SECOND * len(places))
        time.sleep(max(0.0, due - time.perf_counter()))
        post(place, connections[place.host], place.slack.channels[number % CHANNELS])
        return time.perf_counter() - due

    count = round(PER_SECOND * BUSY_SECONDS) * len(places)
    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        times = list(pool.map(send, range(count)))
    for number, ours in enumerate(measured):
        # The first take connections.
        ours.steady += times[number :: len(places)][PER_SECOND:]


def busy(place: MessagePosition, measured: Measured) -> None:
    """Send with eight clients that make no pause."""
    pids = family(place.process.pid)
    starts, before = time.perf_counter(), cpu_seconds(pids)

    def work(client: int) -> list[tuple[float, float]]:
        connection, times = http.client.HTTPConnection(place.host, timeout=30), []
        while (began := time.perf_counter()) < starts + BUSY_SECONDS:
            post(place, connection, place.slack.channels[client])
            times.append((began - starts, time.perf_counter() - began))
        connection.close()
        return times

    with ThreadPoolExecutor(AT_ONCE) as pool:
        times = [one for of_client in pool.map(work, range(AT_ONCE)) for one in of_client]
    measured.cpu_ms.append(1000 * (cpu_seconds(pids) - before) / len(times))
    counted = [seconds for began, seconds in times if began >= WARM_UP_SECONDS]
    measured.together += counted
    measured.per_second.append(len(counted) / (BUSY_SECONDS - WARM_UP_SECONDS))
    measured.mebibytes.append(resident_mebibytes(pids))


def post(place: MessagePosition, connection: http.client.HTTPConnection, channel: str) -> None:
    """Send a notification, and wait for the answer."""
    headers = {"Content-Type": "application/json", **place.headers}
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
    every = list(compared.values())

    def row(label: str, values: Sequence[float], unit: str) -> None:
        shown = " | ".join(f"{value:.1f} {unit}".rstrip() for value in values)
        lines.append(f"| {label} | {shown} | {values[-1] / values[0]:.2f} |")

    for label, of in (
        ("accepting, one at a time", [one.alone for one in every]),
        ("from 202 to Slack, one at a time", [one.posted for one in every]),
        (f"accepting, {PER_SECOND} a second", [one.steady for one in every]),
        (f"accepting, {AT_ONCE} clients at once", [one.together for one in every]),
    ):
        for percent in (50, 99):
            row(f"{label}, p{percent}", [quantile(times, percent) for times in of], "ms")
    row("accepted a second", [mean(one.per_second) for one in every], "")
    row("processor time of each", [mean(one.cpu_ms) for one in every], "ms")
    row("memory", [mean(one.mebibytes) for one in every], "MiB")
    return "\n".join(lines)


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
