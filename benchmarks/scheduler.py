"""The scheduler with many lanes: memory, and CPU time of a scheduling cycle.

    python -m benchmarks.scheduler
    python -m benchmarks.scheduler --workspaces 1
    python -m benchmarks.scheduler --lanes 1000 --workspaces 10000

A cycle takes the work that may begin now (`step`). `all` includes ends of work, and pages.
Rows have keys, so that each has its maximum size. Lanes can wait for a retry (`--failing 0.5`): a
cycle must not visit them.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bolt_app.notifications.delivery.pacing import DeliveryLimits
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.work import QueuedDelivery
from bolt_app.notifications.queue.rank import urgency_of

ROWS_A_LANE = 10
SOURCES = 8
CYCLES = 2_000
CYCLE_SECONDS = 0.05
START = 100_000.0


class Backlog:
    """Waiting rows that are created when they are read, as from a database."""

    def __init__(self, lanes: int, workspaces: int) -> None:
        self.lanes = range(1, lanes + 1)
        self.teams = [f"T{number:06}" for number in range(workspaces)]
        self._ended = dict.fromkeys(self.lanes, 0)

    def team_of(self, lane: int) -> str:
        """Return the workspace of a lane."""
        return self.teams[lane % len(self.teams)]

    def source_of(self, lane: int) -> str:
        """Return the source of a lane's rows."""
        return f"api_key:{lane % SOURCES}"

    def end(self, lane: int) -> None:
        """Note that the first row of a lane has ended."""
        self._ended[lane] += 1

    def rows(self, lane: int, most: int) -> Iterator[QueuedDelivery]:
        """Read the first rows of a lane."""
        start = self._ended[lane]
        for number in range(start, min(start + most, ROWS_A_LANE)):
            delivery_id = lane * ROWS_A_LANE + number
            urgency = urgency_of(0, START - 1_000 + number)
            key = f"api_key:{lane % SOURCES}:build-{delivery_id}"
            yield QueuedDelivery(
                urgency, delivery_id, lane, self.source_of(lane), 0, key, is_update=True
            )

    def has_more(self, lane: int, most: int) -> bool:
        """Return whether a lane has more rows."""
        return self._ended[lane] + most < ROWS_A_LANE


def main() -> None:
    """Load a backlog, run cycles, and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=100_000)
    parser.add_argument("--workspaces", type=int, default=100)
    parser.add_argument("--failing", type=float, default=0.0)
    args = parser.parse_args()
    limits, backlog = DeliveryLimits(), Backlog(args.lanes, args.workspaces)
    scheduler, before = Scheduler(limits), _megabytes()
    seconds = _cpu(lambda: _load(scheduler, backlog, limits.page, args.failing))
    # As an owner does: a full garbage collection visits every row.
    gc.freeze()
    print(f"loaded {args.lanes * ROWS_A_LANE:,} rows in {seconds:.1f} s CPU")
    print(f"memory {_megabytes():.0f} MB, {before:.0f} MB before")
    steps, wholes, begun = _run(scheduler, backlog, limits.page)
    print(f"begun {begun:,} in {CYCLES:,} cycles; memory {_megabytes():.0f} MB")
    for name, times in (("step", steps), ("all", wholes)):
        times.sort()
        p50, p99, most = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99, 0.9999))
        print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {most:.2f} ms CPU")


def _load(scheduler: Scheduler, backlog: Backlog, page: int, failing: float) -> None:
    for team in backlog.teams:
        scheduler.add_workspace(team, START)
    for lane in backlog.lanes:
        team, source = backlog.team_of(lane), backlog.source_of(lane)
        rows = list(backlog.rows(lane, page))
        if lane <= failing * len(backlog.lanes):
            due = START + 3_600
            scheduler.put_first(team, rows.pop(0), due, START, in_doubt=False)
        more = backlog.has_more(lane, page)
        scheduler.load(team, lane, source, rows, START, has_more=more)


def _run(scheduler: Scheduler, backlog: Backlog, page: int) -> tuple[list[float], list[float], int]:
    now, begun, steps, wholes = START, 0, [], []
    for _ in range(CYCLES):
        started = time.process_time()
        works = scheduler.step(now)
        steps.append(time.process_time() - started)
        for work in works:
            backlog.end(work.lane_id)
            scheduler.finish(work, now)
        for wanted in scheduler.wanted():
            lane = wanted.lane_id
            rows, more = backlog.rows(lane, page), backlog.has_more(lane, page)
            scheduler.load(wanted.team_id, lane, wanted.source, rows, now, has_more=more)
        wholes.append(time.process_time() - started)
        begun += len(works)
        now += CYCLE_SECONDS
    return steps, wholes, begun


def _cpu(function: Callable[[], None]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def _megabytes() -> float:
    resident = Path("/proc/self/status").read_text(encoding="utf-8").split("VmRSS:")[1]
    return int(resident.split()[0]) / 1_000


if __name__ == "__main__":
    main()
