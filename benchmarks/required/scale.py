"""A hundred thousand lanes in which a million deliveries wait, and ten thousand idle workspaces."""

from __future__ import annotations

import os
import re
import time

from benchmarks.delivery import run_python
from benchmarks.processes import cpu_seconds, peak_mebibytes
from benchmarks.required.deployment import SLACKS_PACE, installed
from benchmarks.required.report import Requirement, say
from benchmarks.required.rows import add_idle, add_waiting
from benchmarks.stand_in import TEAM

WORKSPACES, LANES, EACH = 20, 100_000, 10
IDLE_WORKSPACES, IDLE_SECONDS = 10_000, 10.0
START_SECONDS, LOADED_SECONDS = 4.0, 20.0

IDLE_CPU = Requirement("idle worker of 10,000 workspaces, of one core", " %", 1)
FIRST_POST = Requirement(
    "start of the process to the first post, 100,000 lanes, 1,000,000 waiting", " s", 3
)
MEMORY = Requirement("… memory of the worker, greatest", " MiB", 300, digits=0)
POSTS = Requirement("… posts in the first 20 s", "", digits=0)
CYCLE = Requirement("… longest scheduling cycle (`benchmarks.scheduler`), CPU", " ms", 5)
REQUIREMENTS = (IDLE_CPU, FIRST_POST, MEMORY, POSTS, CYCLE)
_LONGEST = re.compile(r"^step: .*max ([\d.]+) ms", re.MULTILINE)


def measure(database_url: str) -> dict[Requirement, float]:
    """Measure on one database."""
    changes = {**SLACKS_PACE, "WORKER_THREADS": "0"}
    with installed(database_url, changes, workspaces=WORKSPACES) as deployment:
        add_idle(deployment, TEAM, IDLE_WORKSPACES)
        worker = deployment.start_ready_worker()
        time.sleep(START_SECONDS)
        used = cpu_seconds([worker.pid])
        time.sleep(IDLE_SECONDS)
        idle = 100 * (cpu_seconds([worker.pid]) - used) / IDLE_SECONDS
        deployment.stop_workers()
        say("a million rows are written")
        add_waiting(deployment, deployment.teams, lanes=LANES, each=EACH)
        deployment.sink.clear()
        started = time.time()
        worker = deployment.start_worker()
        [_, first] = deployment.wait_for(1)[0]
        time.sleep(LOADED_SECONDS)
        memory = peak_mebibytes(worker.pid)
        posts = sum(at < first + LOADED_SECONDS for _, at in deployment.sink.posts())
    return {
        IDLE_CPU: idle,
        FIRST_POST: first - started,
        MEMORY: memory,
        POSTS: posts,
        CYCLE: longest_cycle(),
    }


def longest_cycle() -> float:
    """Return the CPU time of the longest cycle of the scheduler, in milliseconds."""
    found = _LONGEST.search(run_python(["-m", "benchmarks.scheduler"], dict(os.environ)))
    if found is None:
        raise SystemExit("benchmarks.scheduler printed no longest cycle")
    return float(found[1])
