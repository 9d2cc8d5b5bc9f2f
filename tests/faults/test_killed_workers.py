"""Workers are killed one after another, each at a step of a send."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator

import pytest

from tests.delivering import quick_bellhop
from tests.faults.load import CHANNELS, DELAYS, Load, Result
from tests.faults.worker_process import Death, start_worker, working
from tests.running import Bellhop

DEATHS = 3
START_SECONDS = 30
# Steps that are taken once for several messages, up to all that are in flight.
COMMON_STEPS = {"granted", "handed_in", "not_committed", "committed"}


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS) as running:
        yield running


@pytest.mark.parametrize(
    "death",
    [
        Death("begun", 150),
        Death("granted", 30),
        Death("checked", 150),
        Death("answered", 150),
        Death("handed_in", 30),
        Death("not_committed", 30),
        Death("committed", 30),
    ],
    ids=lambda death: death.step,
)
def test_everything_arrives_once_and_in_order(bellhop: Bellhop, death: Death) -> None:
    in_flight = bellhop.settings.workspace_requests if death.step in COMMON_STEPS else 1
    # More than the dying workers can send.
    load = Load(bellhop, messages_each=math.ceil((DEATHS * death.time * in_flight + 1) / CHANNELS))
    load.accept()

    for _ in range(DEATHS):
        worker = start_worker(bellhop.settings, death)
        worker.join(START_SECONDS)
        assert worker.exitcode == -signal.SIGKILL
    assert load.states()["sent"] < load.total
    with working(bellhop.settings):
        load.wait_until_sent()

    assert load.result() == Result()
