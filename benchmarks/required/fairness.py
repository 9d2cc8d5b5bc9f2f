"""Another workspace and a critical notification, while a flood of ten thousand is delivered."""

from __future__ import annotations

import time

from benchmarks.required.deployment import SLACKS_PACE, Deployment, installed, wait_until
from benchmarks.required.report import Requirement, quantile
from benchmarks.stand_in import TEAM, channel_ids, team_of

FLOOD_CHANNELS, FLOOD_EACH = 100, 100
# Without the pace, enough to last for the probes.
FREE_EACH = 200
# Not faster than Slack's pace for a workspace.
PROBES, PROBE_SECONDS = 50, 0.21
FREE_PROBE_SECONDS = 0.08
CRITICALS = 5
SETTLE_SECONDS = 2.0

IDLE_P50 = Requirement("another workspace, 202 to Slack, idle: p50", " ms", digits=0)
IDLE_P99 = Requirement("… p99", " ms", digits=0)
PACED_P50 = Requirement("… during a flood at Slack's pace: p50", " ms", digits=0)
PACED_RATIO = Requirement("… p50, times idle", "", 3)
PACED_P99 = Requirement("… during a flood at Slack's pace: p99", " ms", 100, digits=0)
FREE_P50 = Requirement("… during a flood as fast as the worker can: p50", " ms", digits=0)
FREE_RATIO = Requirement("… p50 of that, times idle", "", 3)
FREE_P99 = Requirement("… during a flood as fast as the worker can: p99", " ms", 100, digits=0)
CRITICAL = Requirement("critical behind 10,000 of its workspace, longest of 5", " s", 2)
REQUIREMENTS = (
    *(IDLE_P50, IDLE_P99, PACED_P50, PACED_RATIO, PACED_P99),
    *(FREE_P50, FREE_RATIO, FREE_P99, CRITICAL),
)


def measure(database_url: str) -> dict[Requirement, float]:
    """Measure on one database."""
    with installed(database_url, SLACKS_PACE, workspaces=1) as deployment:
        time.sleep(SETTLE_SECONDS)
        probe(deployment)  # fills caches
        time.sleep(SETTLE_SECONDS)
        idle = probe(deployment)
        flood(deployment, FLOOD_EACH)
        paced = probe(deployment)
        critical = max(send_critical(deployment, number) for number in range(CRITICALS))
    with installed(database_url, {"CHANNEL_PER_MINUTE": "60000"}, workspaces=1) as deployment:
        probe(deployment)
        flood(deployment, FREE_EACH)
        flooded = probe(deployment, FREE_PROBE_SECONDS)
        deployment.sink.clear()
        wait_until(lambda: is_flooded(deployment), "more of the flood than the probes")
    p50 = quantile(idle, 50)
    return {
        IDLE_P50: 1000 * p50,
        IDLE_P99: 1000 * quantile(idle, 99),
        PACED_P50: 1000 * quantile(paced, 50),
        PACED_RATIO: quantile(paced, 50) / p50,
        PACED_P99: 1000 * quantile(paced, 99),
        FREE_P50: 1000 * quantile(flooded, 50),
        FREE_RATIO: quantile(flooded, 50) / p50,
        FREE_P99: 1000 * quantile(flooded, 99),
        CRITICAL: critical,
    }


def is_flooded(deployment: Deployment) -> bool:
    """Return whether the flood is still being delivered."""
    return any(team_of(channel) == TEAM for channel, _ in deployment.sink.posts())


def flood(deployment: Deployment, each: int) -> None:
    """Send a number of notifications to each of a hundred channels of one workspace."""
    channels = channel_ids(TEAM, FLOOD_CHANNELS)
    for _ in range(each):
        deployment.send(TEAM, channels)


def probe(deployment: Deployment, seconds: float = PROBE_SECONDS) -> list[float]:
    """Return the seconds from each 202 to Slack's receipt, in another workspace."""
    [team_id] = deployment.teams
    deployment.sink.clear()
    accepted = {}
    for channel in channel_ids(team_id, PROBES):
        accepted[channel] = deployment.send(team_id, [channel])
        time.sleep(seconds)

    def posted() -> dict[str, float]:
        return {channel: at for channel, at in deployment.sink.posts() if channel in accepted}

    wait_until(lambda: len(posted()) == PROBES, "messages of the other workspace")
    found = posted()
    return [found[channel] - at for channel, at in accepted.items()]


def send_critical(deployment: Deployment, number: int) -> float:
    """Return the seconds from the 202 to Slack's receipt, in the flooded workspace."""
    channel = channel_ids(TEAM, FLOOD_CHANNELS + number + 1)[-1]
    accepted = deployment.send(TEAM, [channel], severity="critical")
    wait_until(lambda: channel in dict(deployment.sink.posts()), "a critical notification")
    return dict(deployment.sink.posts())[channel] - accepted
