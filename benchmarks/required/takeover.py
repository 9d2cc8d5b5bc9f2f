"""Workers that are killed, restarted one after the other, or restarted alone, under load."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import defaultdict
from itertools import pairwise

from benchmarks.message_sink import Posts
from benchmarks.required.place import (
    SLACKS_PACE,
    STOP_SECONDS,
    MessagePosition,
    installed,
    wait_until,
)
from benchmarks.required.report import Requirement
from benchmarks.stand_in import channel_ids, team_of

WORKSPACES, CHANNELS, EACH = 8, 20, 20
LATENCY_MS = 50
# A workspace may get so many at once at first; the pace is steady after it.
BURST = 75
# So many messages are under way when a worker is killed, at least.
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
    ) as place:
        send_load(place)
        values = kill(place)
        # However long that took: there is enough to send in what follows.
        send_load(place)
        values[ROLLING] = restart_in_turn(place)
        return values | restart_alone(place)


def send_load(place: MessagePosition) -> None:
    """Send as much as takes more than a minute at Slack's pace."""
    for team_id in place.teams:
        place.send(team_id, channel_ids(team_id, CHANNELS) * EACH)


def kill(place: MessagePosition) -> dict[Requirement, float]:
    """Kill one of two workers while it sends, and leave the load to the other."""
    owner = place.start_worker()
    place.wait_for(WORKSPACES * (BURST + CHANNELS))
    place.start_ready_worker()
    time.sleep(SHARED_SECONDS)
    place.sink.clear()
    place.sink.lose(is_losing=True)
    wait_until(lambda: len(place.sink.lost()) >= LEAST_UNDER_WAY, "messages under way")
    owner.kill()
    killed_at = time.time()
    owner.wait()
    place.sink.lose(is_losing=False)
    lost = set(place.sink.lost())

    def is_posted() -> bool:
        return lost <= set(after(killed_at, place.sink.posts()))

    wait_until(is_posted, "messages under way posted")
    posted = after(killed_at, place.sink.posts())
    others = {channel: at for channel, at in posted.items() if channel not in lost}
    return {
        OTHERS: max(first_of(others, team_id) for team_id in place.teams) - killed_at,
        UNDER_WAY: max(posted[channel] for channel in lost) - killed_at,
    }


def restart_in_turn(place: MessagePosition) -> float:
    """Return the longest pause of a workspace while three workers are restarted in turn."""
    workers = [*place.running(), place.start_ready_worker(), place.start_ready_worker()]
    time.sleep(SHARED_SECONDS)
    place.sink.clear()
    for worker in workers:
        stop(worker)
        place.start_ready_worker()
        time.sleep(SHARED_SECONDS)
    return longest_pause(place.sink.posts(), place.teams)


def restart_alone(place: MessagePosition) -> dict[Requirement, float]:
    """Stop all workers, and start one."""
    place.stop_workers()
    place.sink.clear()
    started = time.time()
    place.start_ready_worker()
    delivering = time.time()
    [_, at] = place.wait_for(1)[0]
    place.stop_workers()
    return {RESTART: max(0.0, at - delivering), WHOLE_RESTART: at - started}


def stop(worker: subprocess.Popen[bytes]) -> None:
    """End a worker as a service manager does."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(STOP_SECONDS)


def after(moment: float, posts: Posts) -> dict[str, float]:
    """Return when each channel got its first message after a moment."""
    found: dict[str, float] = {}
    for channel, at in posts:
        if at > moment:
            found.setdefault(channel, at)
    return found


def first_of(firsts: dict[str, float], team_id: str) -> float:
    """Return when the first channel of a workspace got a message."""
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
