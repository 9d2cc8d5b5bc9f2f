"""Measures one contender: `python -m benchmarks.engines.measure CONTENDER MEASURE… [--tiny]`.

Prints one JSON object. Each measurement is bounded in time and runs on a newly created engine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engines.contenders import CONTENDERS, Contender
from benchmarks.engines.engine import Engine, Job, RolledBackError, Storage
from benchmarks.engines.lane_job import (
    FOREVER,
    Record,
    Run,
    out_of_order,
    overlapping,
    too_fast,
)
from benchmarks.engines.processes import running
from benchmarks.engines.weight import weight

Result = dict[str, Any]
START_SECONDS = 30.0
TAKEOVER_SECONDS = 75.0


@dataclass(frozen=True)
class Size:
    """The size of the measurements."""

    rate_seconds: float = 0.7
    idle_seconds: float = 6.0
    latencies: int = 100
    lanes: int = 300
    drain_seconds: float = 40.0


TINY = Size(rate_seconds=0.3, idle_seconds=1.0, latencies=5, lanes=20, drain_seconds=20.0)


class Bench:
    """One contender, with new storage for each measurement."""

    def __init__(self, name: str, size: Size) -> None:
        self.name = name
        self.contender: Contender = CONTENDERS[name]
        self.size = size

    @contextmanager
    def engine(self, measure: str) -> Iterator[tuple[Engine, Record, Storage]]:
        """Yield a created and opened engine."""
        with tempfile.TemporaryDirectory(prefix="bake-off-") as directory:
            storage = Storage(f"{self.name}-{measure}", Path(directory))
            self._apart("set_up", storage)
            engine = self.contender.create(storage)
            engine.open()
            try:
                yield engine, Record(storage), storage
            finally:
                self._apart("tear_down", storage)

    def _apart(self, step: str, storage: Storage) -> None:
        getattr(self.contender.create(storage), step)()


def lane(kind: str, number: int) -> str:
    """Return a lane's name, in the form of a channel's id."""
    return f"C{kind}{number:07d}"


# The measures.


def measure_weight(bench: Bench) -> Result:
    """The packages and size added to Bellhop's dependencies."""
    return dict(weight(bench.contender.packages))


def measure_transaction(bench: Bench) -> Result:
    """Whether a job is rolled back with the transaction in which it was enqueued."""
    with bench.engine("transaction") as (engine, record, storage):
        with suppress(RolledBackError):
            engine.accept(Job(lane("G", 1)), fail=True)
        engine.accept(Job(lane("A", 1)))
        with running(bench.name, storage, "one"):
            _wait_until(lambda: _has_ended(record, lane("A", 1)), START_SECONDS)
            time.sleep(1.5)
        ghost = any(run.lane == lane("G", 1) for run in record.runs())
        return {"one_transaction": not ghost}


def measure_rates(bench: Bench) -> Result:
    """The jobs enqueued a second, one by one: the best of three, because of other load."""
    best: Result = {}
    with bench.engine("rates") as (engine, _record, _storage):
        calls = {"enqueue": engine.enqueue, "accept": engine.accept}
        for attempt in "PQR":
            for (name, call), threads in itertools.product(calls.items(), (1, 8)):
                kind = f"{attempt}{name[0].upper()}{threads}"
                rate = _rate(call, threads, bench.size.rate_seconds, kind)
                best[f"{name}_{threads}"] = max(rate, best.get(f"{name}_{threads}", 0))
    return best


def measure_idle(bench: Bench) -> Result:
    """The resources of an idle worker."""
    with (
        bench.engine("idle") as (engine, record, storage),
        running(bench.name, storage, "one") as [worker],
    ):
        _warm_up(engine, record, workers=1)
        time.sleep(2)
        before, began = worker.cpu_seconds(), time.monotonic()
        time.sleep(bench.size.idle_seconds)
        used = worker.cpu_seconds() - before
        return {
            "idle_percent": 100 * used / (time.monotonic() - began),
            "megabytes": worker.resident_megabytes(),
        }


def measure_latency(bench: Bench) -> Result:
    """The time from the enqueuing call to the start of the job, on an idle engine."""
    with bench.engine("latency") as (engine, record, storage), running(bench.name, storage, "one"):
        _warm_up(engine, record, workers=1)
        called: dict[str, float] = {}
        for number in range(bench.size.latencies):
            time.sleep(random.uniform(0.08, 0.2))  # noqa: S311
            name = lane("L", number)
            called[name] = time.monotonic()
            engine.enqueue(Job(name))
        _wait_until(lambda: all(_has_ended(record, name) for name in called), 15)
        waits = [
            1000 * (run.began - called[run.lane]) for run in record.runs() if run.lane in called
        ]
        return {"p50": statistics.median(waits), "p99": _percentile(waits, 99), "runs": len(waits)}


def measure_drain(bench: Bench) -> Result:
    """The time for 3 messages in each lane, at one a second for each lane."""
    lanes = [lane("D", number) for number in range(bench.size.lanes)]
    with bench.engine("drain") as (engine, record, storage):
        for name in lanes:
            engine.enqueue(Job(name, of=3))
        with running(bench.name, storage, "one") as [worker]:
            wanted = 3 * len(lanes)
            done = _wait_until(
                lambda: len(_ended(record)) >= wanted, bench.size.drain_seconds + START_SECONDS / 3
            )
            used = worker.cpu_seconds()
        runs = _ended(record)
        if not runs:
            raise SystemExit("the worker ran nothing")
        return {
            "seconds": max(run.ended for run in runs) - min(run.began for run in runs),
            "done": len(runs),
            "all": done,
            "too_fast": too_fast(runs),
            "out_of_order": out_of_order(runs),
            "cpu_seconds": used,
        }


def measure_exclusion(bench: Bench) -> Result:
    """Whether two workers run one lane at once, if two jobs are enqueued for it."""
    lanes = [lane("X", number) for number in range(10)]
    with (
        bench.engine("exclusion") as (engine, record, storage),
        running(bench.name, storage, "one", "two"),
    ):
        _warm_up(engine, record, workers=2)
        for number in (1, 2):
            for name in lanes:
                engine.enqueue(Job(name, number=number, of=number, hold=0.3))
        _wait_until(lambda: all(_has_ended(record, name, 2) for name in lanes), 20)
        runs = [run for run in record.runs() if run.lane in lanes]
        return {"overlapping": overlapping(runs), "out_of_order": out_of_order(runs)}


def measure_takeover(bench: Bench) -> Result:
    """The takeover of a job whose worker is killed and does not return."""
    held = Job(lane("K", 1), hold=FOREVER)
    with (
        bench.engine("takeover") as (engine, record, storage),
        running(bench.name, storage, "one", "two") as workers,
    ):
        _warm_up(engine, record, workers=2)
        engine.enqueue(held)
        _wait_until(lambda: bool(_of(record, held.lane)), START_SECONDS)
        [first] = _of(record, held.lane)
        [victim] = [worker for worker in workers if worker.pid == first.pid]
        killed = time.monotonic()
        victim.kill()
        _wait_until(lambda: len(_of(record, held.lane)) > 1, TAKEOVER_SECONDS)
        runs = _of(record, held.lane)
        after = runs[1].began - killed if len(runs) > 1 else None
        time.sleep(1)
        return {"after": after, "left": engine.left(), "waited": TAKEOVER_SECONDS}


MEASURES: dict[str, Callable[[Bench], Result]] = {
    name.removeprefix("measure_"): value
    for name, value in list(globals().items())
    if name.startswith("measure_")
}


# Shared parts.


def _rate(call: Callable[[Job], object], threads: int, seconds: float, kind: str) -> float:
    """Return the calls a second, each for another lane."""
    counts = [0] * threads
    began = time.monotonic()
    ends = began + seconds

    def repeat(thread: int) -> None:
        while time.monotonic() < ends:
            call(Job(lane(kind, thread * 1_000_000 + counts[thread])))
            counts[thread] += 1

    call(Job(lane(kind, 9_999_999)))
    running_threads = [threading.Thread(target=repeat, args=(n,)) for n in range(threads)]
    for thread in running_threads:
        thread.start()
    for thread in running_threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def _warm_up(engine: Engine, record: Record, *, workers: int) -> None:
    """Wait until a number of workers have run a job."""
    ends = time.monotonic() + START_SECONDS
    number = 0
    while time.monotonic() < ends:
        for _ in range(12 * workers if workers > 1 else 1):
            number += 1
            engine.enqueue(Job(lane("W", number), hold=0.2))
        if _wait_until(lambda: len({run.pid for run in record.runs()}) >= workers, 5):
            return _settle(record, number)
    raise SystemExit(f"the workers did not start within {START_SECONDS:.0f} s")


def _settle(record: Record, jobs: int) -> None:
    _wait_until(lambda: len(_ended(record)) >= jobs, 10)


def _wait_until(is_true: Callable[[], bool], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True


def _of(record: Record, name: str) -> list[Run]:
    return [run for run in record.runs() if run.lane == name]


def _ended(record: Record) -> list[Run]:
    return [run for run in record.runs() if run.ended != float("inf")]


def _has_ended(record: Record, name: str, number: int = 1) -> bool:
    return any(run.lane == name and run.number == number for run in _ended(record))


def _percentile(values: Iterable[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("measures", nargs="+", choices=MEASURES)
    parser.add_argument(
        "--tiny", action="store_true", help="a short run that only shows that it works"
    )
    arguments = parser.parse_args()
    bench = Bench(arguments.contender, TINY if arguments.tiny else Size())
    results = {measure: MEASURES[measure](bench) for measure in arguments.measures}
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
