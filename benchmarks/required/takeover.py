"""Workers that are killed, restarted one after the other, or restarted alone, under load."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import defaultdict
from itertools import pairwise

from benchmarks.message_sink import Posts
from benchmarks.required.deployment import (
    SLACKS_PACE,
    STOP_SECONDS,
    Deployment,
    installed,
    wait_until,
)
from benchmarks.required.report import Requirement
from benchmarks.stand_in import channel_ids, team_of

WORKSPACES, CHANNELS, EACH = 8, 20, 20
LATENCY_MS = 50
# The initial burst of a workspace; the pace is steady after it.
BURST = 75
# The least number of messages in progress when a worker is killed.
LEAST_UNDER_WAY = 5
SHARED_SECONDS = 3.0

OTHERS = Requirement("kill -9: until each workspace continues", " s", 2)
UNDER_WAY = Requirement("kill -9: until messages under way are posted, longest", " s", 30)
ROLLING = Requirement("restart of three workers in turn: longest pause of a workspace", " s", 1)
RESTART = Requirement("restart alone: first post after the worker says that it delivers", " s", 1)
WHOLE_RESTART = Requirement("restart alone: first post after the start of the process", " s")
REQUIREMENTS = (OTHERS, UNDER_WAY, ROLLING, RESTART, WHOLE_RESTART)


def measure(database_url: str) -> dict[Requirement, float]:
    """Measure on one database."""
    with installed(
        database_url,
        {**SLACKS_PACE, "WORKER_THREADS": "0"},
        workspaces=WORKSPACES,
        channels=CHANNELS,
        latency_ms=LATENCY_MS,
    ) as deployment:
        send_load(deployment)
        values = kill(deployment)
        # Enough load for the following measurements, however long the first one took.
        send_load(deployment)
        values[ROLLING] = restart_in_turn(deployment)
        return values | restart_alone(deployment)


def send_load(deployment: Deployment) -> None:
    """Send a load that takes more than a minute at Slack's pace."""
    for team_id in deployment.teams:
        deployment.send(team_id, channel_ids(team_id, CHANNELS) * EACH)


def kill(deployment: Deployment) -> dict[Requirement, float]:
    """Kill one of two workers while it sends; the other takes over the load."""
    owner = deployment.start_worker()
    deployment.wait_for(WORKSPACES * (BURST + CHANNELS))
    deployment.start_ready_worker()
    time.sleep(SHARED_SECONDS)
    deployment.sink.clear()
    deployment.sink.lose(is_losing=True)
    wait_until(lambda: len(deployment.sink.lost()) >= LEAST_UNDER_WAY, "messages under way")
    owner.kill()
    killed_at = time.time()
    owner.wait()
    deployment.sink.lose(is_losing=False)
    lost = set(deployment.sink.lost())

    def is_posted() -> bool:
        return lost <= set(after(killed_at, deployment.sink.posts()))

    wait_until(is_posted, "messages under way posted")
    posted = after(killed_at, deployment.sink.posts())
    others = {channel: at for channel, at in posted.items() if channel not in lost}
    return {
        OTHERS: max(first_of(others, team_id) for team_id in deployment.teams) - killed_at,
        UNDER_WAY: max(posted[channel] for channel in lost) - killed_at,
    }


def restart_in_turn(deployment: Deployment) -> float:
    """Return the longest pause of a workspace while three workers are restarted one by one."""
    workers = [
        *deployment.running(),
        deployment.start_ready_worker(),
        deployment.start_ready_worker(),
    ]
    time.sleep(SHARED_SECONDS)
    deployment.sink.clear()
    for worker in workers:
        stop(worker)
        deployment.start_ready_worker()
        time.sleep(SHARED_SECONDS)
    return longest_pause(deployment.sink.posts(), deployment.teams)


def restart_alone(deployment: Deployment) -> dict[Requirement, float]:
    """Stop all workers, and start one."""
    deployment.stop_workers()
    deployment.sink.clear()
    started = time.time()
    deployment.start_ready_worker()
    delivering = time.time()
    [_, at] = deployment.wait_for(1)[0]
    deployment.stop_workers()
    return {RESTART: max(0.0, at - delivering), WHOLE_RESTART: at - started}


def stop(worker: subprocess.Popen[bytes]) -> None:
    """End a worker as a service manager does."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(STOP_SECONDS)


def after(moment: float, posts: Posts) -> dict[str, float]:
    """Return the time of each channel's first message after a moment."""
    found: dict[str, float] = {}
    for channel, at in posts:
        if at > moment:
            found.setdefault(channel, at)
    return found


def first_of(firsts: dict[str, float], team_id: str) -> float:
    """Return the time of the first message in a workspace."""
    times = [at for channel, at in firsts.items() if team_of(channel) == team_id]
    return min(times, default=float("inf"))


def longest_pause(posts: Posts, teams: list[str]) -> float:
    """Return the longest time between two messages of one workspace."""
    by_team: dict[str, list[float]] = defaultdict(list)
    for channel, at in posts:
        by_team[team_of(channel)].append(at)
    if not all(by_team[team_id] for team_id in teams):
        raise SystemExit("the load ended before the restarts")
    return max(
        later - earlier for team_id in teams for earlier, later in pairwise(by_team[team_id])
    )
