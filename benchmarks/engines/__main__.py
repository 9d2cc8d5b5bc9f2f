"""Delivery engines side by side, in one run: `python -m benchmarks.engines`, about ten minutes.

Requires `benchmarks/requirements.txt`, PostgreSQL, Redis and RabbitMQ on this machine
(`BAKE_OFF_POSTGRESQL`, `BAKE_OFF_REDIS` and `BAKE_OFF_RABBITMQ` have their addresses). Each engine
runs in separate processes, one engine after the other; only the minute of waiting for a killed
worker is shared. Prints two Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from benchmarks.engines.contenders import CONTENDERS
from benchmarks.engines.processes import ROOT

Results = dict[str, dict[str, Any]]
Cell = Callable[[dict[str, Any]], str]
LIMIT_SECONDS = 240
PACKAGES = ("huey", "dbos", "procrastinate", "celery", "sqlalchemy", "psycopg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contenders", nargs="*", metavar="CONTENDER", help=", ".join(CONTENDERS))
    parser.add_argument(
        "--tiny", action="store_true", help="a short run that only shows that it works"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.contenders) - set(CONTENDERS)
    if unknown:
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    names = arguments.contenders or list(CONTENDERS)
    options = ["--tiny"] if arguments.tiny else []
    began = time.monotonic()
    results = {name: _measure(name, _alone(name), options) for name in names}
    for name, takeover in _measure_together(names, options):
        results[name] |= takeover
    print("\n".join(_report(results, time.monotonic() - began)))


def _alone(name: str) -> list[str]:
    return [measure for measure in CONTENDERS[name].measures if measure != "takeover"]


def _measure_together(
    names: Sequence[str], options: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    names = [name for name in names if "takeover" in CONTENDERS[name].measures]
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        yield from zip(
            names, pool.map(lambda name: _measure(name, ["takeover"], options), names), strict=True
        )


def _measure(name: str, measures: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    """Return the measurements; print a failure, and continue with the other engines."""
    print(f"{name}: {', '.join(measures)}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.engines.measure", name, *measures, *options]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    except subprocess.TimeoutExpired:
        print(f"{name}: took more than {LIMIT_SECONDS} s", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"{name}: failed\n{error.stderr[-3000:]}", file=sys.stderr)
    return {}


# The report.


def _report(results: Results, seconds: float) -> Iterator[str]:
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    load = os.getloadavg()[2]
    yield f"{os.cpu_count()} cores, load of the last 15 minutes {load:.1f}; {versions}."
    yield f"Measured in {seconds / 60:.0f} minutes by `python -m benchmarks.engines`."
    yield ""
    yield from _table(results, _PROMISES)
    yield ""
    yield from _table(results, _NUMBERS)


def _table(results: Results, columns: Sequence[tuple[str, str, Cell]]) -> Iterator[str]:
    yield _row(["Engine", *(title for title, _, _ in columns)])
    yield _row(["---"] * (len(columns) + 1))
    for name, measured in results.items():
        cells = [
            cell(measured[measure]) if measure in measured else _missing(name, measure)
            for _, measure, cell in columns
        ]
        if any(measure in CONTENDERS[name].measures for _, measure, _ in columns):
            yield _row([CONTENDERS[name].title, *cells])


def _missing(name: str, measure: str) -> str:
    return "failed" if measure in CONTENDERS[name].measures else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _takeover(measured: dict[str, Any]) -> str:
    if measured["after"] is not None:
        return f"run again after {measured['after']:.1f} s"
    if measured["left"]:
        return f"still held after {measured['waited']:.0f} s"
    return "lost"


def _drain(measured: dict[str, Any]) -> str:
    if not measured["all"]:
        return f"{measured['done']} in {measured['seconds']:.0f} s"
    return f"{measured['seconds']:.1f}"


_PROMISES: list[tuple[str, str, Cell]] = [
    ("one transaction with our rows", "transaction", lambda m: _yes(m["one_transaction"])),
    ("job of a worker killed for good", "takeover", _takeover),
    ("lanes of 10 run twice at once", "exclusion", lambda m: str(m["overlapping"])),
    ("lanes of 10 out of order", "exclusion", lambda m: str(m["out_of_order"])),
    ("packages", "weight", lambda m: str(m["packages"])),
    ("MB on disk", "weight", lambda m: f"{m['megabytes']:.1f}"),
]
_NUMBERS: list[tuple[str, str, Cell]] = [
    ("enqueues/s", "rates", lambda m: f"{m['enqueue_1']:.0f}"),
    ("8 threads", "rates", lambda m: f"{m['enqueue_8']:.0f}"),
    ("row + enqueue/s", "rates", lambda m: f"{m['accept_1']:.0f}"),
    ("8 threads", "rates", lambda m: f"{m['accept_8']:.0f}"),
    ("latency p50 ms", "latency", lambda m: f"{m['p50']:.0f}"),
    ("p99 ms", "latency", lambda m: f"{m['p99']:.0f}"),
    ("900 in 300 lanes, s", "drain", _drain),
    ("lanes too fast", "drain", lambda m: str(m["too_fast"])),
    ("out of order", "drain", lambda m: str(m["out_of_order"])),
    ("CPU s", "drain", lambda m: f"{m['cpu_seconds']:.1f}"),
    ("idle % of a core", "idle", lambda m: f"{m['idle_percent']:.1f}"),
    ("RSS MB", "idle", lambda m: f"{m['megabytes']:.0f}"),
]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    main()
