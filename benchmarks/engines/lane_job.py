"""The job that every engine runs, and the record of its runs."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.engines.engine import PACE_SECONDS, Job, Storage

# A job that holds its worker for this long waits to be killed, and does so only once.
FOREVER = 600.0


@dataclass(frozen=True)
class Run:
    """One sent message; all processes share the monotonic clock."""

    lane: str
    number: int
    pid: int
    began: float
    ended: float


class Record:
    """A file to which workers append one line at a time."""

    def __init__(self, storage: Storage) -> None:
        self._path = storage.directory / "record"
        self._markers = storage.directory

    def run(self, job: Job, again: Callable[[Job, float], object] | None = None) -> None:
        """Send the job's message, and schedule the next one of its lane a second later."""
        began = time.monotonic()
        self._write("began", job, began)
        time.sleep(self._hold(job))
        self._write("ended", job, began)
        following = job.following()
        if following is not None and again is not None:
            again(following, PACE_SECONDS)

    def function(self, again: Callable[[Job, float], object]) -> Callable[..., None]:
        """Return the job as the plain function that engines need."""

        def lane_job(lane: str, number: int, of: int, hold: float) -> None:
            self.run(Job(lane, number, of, hold), again)

        return lane_job

    def runs(self) -> list[Run]:
        """Return the runs in the order of their begins; an unfinished run ends at infinity."""
        found: dict[tuple[str, int, int, float], float] = {}
        for event, lane, number, pid, began, at in self._lines():
            key = (lane, int(number), int(pid), float(began))
            found[key] = float(at) if event == "ended" else found.get(key, float("inf"))
        runs = [Run(*key, ended) for key, ended in found.items()]
        return sorted(runs, key=lambda run: run.began)

    def _hold(self, job: Job) -> float:
        if job.hold < FOREVER:
            return job.hold
        marker = self._markers / f"held-{job.lane}-{job.number}"
        if marker.exists():
            return 0.001
        marker.touch()
        return FOREVER

    def _write(self, event: str, job: Job, began: float) -> None:
        line = f"{event} {job.lane} {job.number} {os.getpid()} {began!r} {time.monotonic()!r}\n"
        _append(self._path, line.encode())

    def _lines(self) -> Iterable[list[str]]:
        """Return the complete lines: the last one may still be in progress."""
        if not self._path.exists():
            return []
        complete, _, _ = self._path.read_text().rpartition("\n")
        return [line.split() for line in complete.splitlines()]


_lock = threading.Lock()
_descriptors: dict[Path, int] = {}


def _append(path: Path, line: bytes) -> None:
    with _lock:
        if path not in _descriptors:
            _descriptors[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(_descriptors[path], line)


def lanes_of(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each lane."""
    lanes: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        lanes[run.lane].append(run)
    return lanes


def overlapping(runs: Iterable[Run]) -> int:
    """Return the number of lanes in which two messages were sent at the same time."""
    return _lanes_where(runs, lambda run, other: other.began < run.ended)


def out_of_order(runs: Iterable[Run]) -> int:
    """Return the number of lanes in which a message overtook another."""
    return _lanes_where(runs, lambda run, other: other.number < run.number)


def too_fast(runs: Iterable[Run]) -> int:
    """Return the number of lanes with two messages less than a second apart (5 % tolerance)."""
    return _lanes_where(runs, lambda run, other: other.began - run.began < 0.95 * PACE_SECONDS)


def _lanes_where(runs: Iterable[Run], is_bad: Callable[[Run, Run], bool]) -> int:
    lanes = lanes_of(runs).values()
    return sum(any(is_bad(*pair) for pair in pairwise(lane)) for lane in lanes)
