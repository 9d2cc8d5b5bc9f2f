"""Speed compared with a checkout of the first engine, in alternating runs on the same machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.delivery import ROOT, run_python
from benchmarks.processes import cpu_seconds, family
from benchmarks.required.deployment import Deployment, installed
from benchmarks.required.report import Requirement, quantile, say
from benchmarks.stand_in import TEAM, channel_ids

CHANNELS, EACH = 300, 3
# At one message a second, the first of three at once.
BOUND_SECONDS = 2.0
PROBES, PROBE_SECONDS = 100, 0.05
IDLE_SECONDS, SETTLE_SECONDS, CHANNEL_SECONDS = 10.0, 3.0, 1.2
WORKSPACES, WORKSPACE_CHANNELS, WORKSPACE_EACH = 30, 10, 8
LATENCY_MS = 20

BARE = Requirement("300 channels of 3, Slack left out, times the bound of 2 s", "", 1.3)
WHOLE = Requirement("300 channels of 3, the whole product, times the bound of 2 s", "", 1.8)
P50 = Requirement("202 to Slack, p50", " ms", digits=1)
P99 = Requirement("202 to Slack, p99", " ms", digits=1)
IDLE = Requirement("idle, web and worker, of one core", " %")
ONE = Requirement("posts a second in 30 workspaces, one process", "", digits=0)
CPU = Requirement("… CPU of the worker for a post", " ms")
THREE = Requirement("posts a second in 30 workspaces, three processes", "", digits=0)
SINGLE = Requirement("posts a second in one workspace, one process", "", digits=0)
# Not worse, within a tenth: two runs of one engine differ by that much.
RATIOS = {
    P50: Requirement("202 to Slack, p50, times the first engine", "", 1.1),
    P99: Requirement("202 to Slack, p99, times the first engine", "", 1.1),
    IDLE: Requirement("idle, times the first engine", "", 1.1),
    ONE: Requirement("30 workspaces, one process, times the first engine", "", 0.9, is_least=True),
    CPU: Requirement("CPU for a post, times the first engine", ""),
    THREE: Requirement(
        "30 workspaces, three processes, times the first engine", "", 1.8, is_least=True
    ),
    SINGLE: Requirement("one workspace, times the first engine", "", 0.9, is_least=True),
}
REQUIREMENTS = (BARE, WHOLE, P50, P99, IDLE, ONE, CPU, THREE, SINGLE, *RATIOS.values())


def measure(database_url: str, root: Path = ROOT) -> dict[Requirement, float]:
    """Measure one engine on one database."""
    is_first = root != ROOT
    values = {BARE: bare(database_url, root) / BOUND_SECONDS}
    with installed(
        database_url, {"CHANNEL_PER_MINUTE": "60"}, workspaces=0, root=root
    ) as deployment:
        values |= whole(deployment)
    changes = {"CHANNEL_PER_MINUTE": "60000", "WORKER_THREADS": "0", "WORKSPACE_REQUESTS": "64"}
    with installed(
        database_url, changes, workspaces=WORKSPACES, root=root, latency_ms=LATENCY_MS
    ) as deployment:
        # For the first engine, the number of its requests in progress.
        threads = "64" if is_first else "8"
        many = {team_id: WORKSPACE_CHANNELS for team_id in deployment.teams}
        values[ONE], values[CPU] = rate(deployment, many, threads, workers=1)
        if database_url:
            values[THREE], _ = rate(deployment, many, threads, workers=3)
        values[SINGLE], _ = rate(deployment, {TEAM: CHANNELS}, threads, workers=1)
    return values


def compared(
    now: Mapping[Requirement, float], first: Mapping[Requirement, float]
) -> dict[Requirement, float]:
    """Return the ratios of this engine's values to the first one's."""
    return {ratio: now[one] / first[one] for one, ratio in RATIOS.items() if one in now}


def bare(database_url: str, root: Path) -> float:
    """Return the seconds for the messages of 300 channels, with a Slack that does nothing."""
    contender = "bellhop-postgresql" if database_url else "bellhop-sqlite"
    arguments = ["-m", "benchmarks.engines.measure", contender, "drain"]
    result = json.loads(run_python(arguments, dict(os.environ), root).splitlines()[-1])["drain"]
    if not result["all"] or result["too_fast"] or result["out_of_order"]:
        raise SystemExit(f"{contender}: {result}")
    return float(result["seconds"])


def whole(deployment: Deployment) -> dict[Requirement, float]:
    """Measure `python app.py`: idle, one message at a time, and 300 channels at once."""
    say("idle, latency, 300 channels")
    probes, channels = channel_ids(TEAM, PROBES), channel_ids(TEAM, PROBES + CHANNELS)[PROBES:]
    deployment.send(TEAM, probes)  # fills caches
    deployment.wait_for(PROBES)
    time.sleep(SETTLE_SECONDS)
    processes = family(deployment.server.pid)
    used = cpu_seconds(processes)
    time.sleep(IDLE_SECONDS)
    idle = 100 * (cpu_seconds(processes) - used) / IDLE_SECONDS
    deployment.sink.clear()
    accepted = {}
    for channel in probes:
        accepted[channel] = deployment.send(TEAM, [channel])
        time.sleep(PROBE_SECONDS)
    latencies = [1000 * (at - accepted[channel]) for channel, at in deployment.wait_for(PROBES)]
    deployment.sink.clear()
    began = time.time()
    deployment.send(TEAM, channels * EACH)
    [*_, (_, last)] = deployment.wait_for(CHANNELS * EACH)
    return {
        IDLE: idle,
        P50: quantile(latencies, 50),
        P99: quantile(latencies, 99),
        WHOLE: (last - began) / BOUND_SECONDS,
    }


def rate(
    deployment: Deployment, channels: Mapping[str, int], threads: str, *, workers: int
) -> tuple[float, float]:
    """Return the posts a second while a backlog is delivered, and the CPU for a post in ms.

    Args:
        channels: the number of channels of each workspace.
        threads: `WORKER_THREADS` of each worker.
    """
    say(f"a backlog of {len(channels)} workspaces, {workers} workers")
    started = [deployment.start_worker(WORKER_THREADS=threads) for _ in range(workers)]
    lists = {team_id: channel_ids(team_id, number) for team_id, number in channels.items()}
    # The first posts connect, and fill caches.
    deployment.sink.clear()
    for team_id, ids in lists.items():
        deployment.send(team_id, ids)
    warm = sum(map(len, lists.values()))
    deployment.wait_for(warm)
    time.sleep(CHANNEL_SECONDS)
    deployment.sink.clear()
    pids = [one.pid for one in started]
    used = cpu_seconds(pids)
    for team_id, ids in lists.items():
        deployment.send(team_id, ids * WORKSPACE_EACH)
    posts = deployment.wait_for(WORKSPACE_EACH * warm)
    cost = 1000 * (cpu_seconds(pids) - used) / len(posts)
    deployment.stop_workers()
    return len(posts) / (posts[-1][1] - posts[0][1]), cost
