"""Slack rejects, aborts, ignores or delays requests: each message arrives once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slack_sandbox import Fault
from tests.delivering import quick_bellhop
from tests.faults.load import DELAYS, POST, Load, Result, wait_until
from tests.faults.worker_process import working
from tests.notifications.hand import accept, texts
from tests.people import ANN, GENERAL
from tests.running import Bellhop

RETRY_AFTER = 1
# A held connection is closed by the client long before.
SILENCE_SECONDS = 60
# The client has given up by then, and has not looked for its message.
LATE_SECONDS = DELAYS.slack_timeout + DELAYS.settling / 2

# As late as Slack was seen to take a request, on the tests' scale.
LATE_ACCEPTANCE_SECONDS = 25 / 5

UPDATES = 4

# All of them early: an affected delivery is left alone for some seconds, with other work to do.
REFUSED = Fault(POST, "rate_limited", every=100, times=4, retry_after=RETRY_AFTER)
FAULTS = {
    "server_error": [Fault(POST, "server_error", every=10, times=40)],
    "reset": [Fault(POST, "reset", every=10, times=40)],
    "lost_answer": [
        Fault(POST, "lost_answer", every=20, times=20),
        Fault(POST, "reset_after", every=21, times=20),
    ],
    "internal_error": [
        Fault(POST, "api_error", every=10, times=20, error="fatal_error"),
        Fault(POST, "api_error_after", every=21, times=20),
    ],
    "silence": [
        Fault(POST, "timeout", every=30, times=3, seconds=SILENCE_SECONDS),
        Fault(POST, "latency", every=31, times=3, seconds=LATE_SECONDS),
    ],
    # Longer than the client waits, and longer than it waits before it looks.
    "late": [Fault(POST, "latency", every=40, times=5, seconds=LATE_ACCEPTANCE_SECONDS)],
    "everything": [
        Fault("*", "timeout", every=29, times=2, seconds=SILENCE_SECONDS),
        Fault(POST, "latency", every=31, times=2, seconds=LATE_SECONDS),
        Fault("*", "rate_limited", every=103, times=3, retry_after=RETRY_AFTER),
        Fault("*", "server_error", every=23, times=15),
        Fault("*", "reset", every=27, times=15),
        Fault("*", "api_error", every=25, times=15, error="internal_error"),
        Fault(POST, "lost_answer", every=37, times=8),
        Fault(POST, "reset_after", every=41, times=8),
    ],
}


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS) as running:
        yield running


@pytest.mark.parametrize("faults", FAULTS.values(), ids=list(FAULTS))
def test_everything_arrives_once_and_in_order(bellhop: Bellhop, faults: list[Fault]) -> None:
    load = Load(bellhop)
    load.accept()
    for fault in faults:
        bellhop.slack.faults.add(fault)
    with working(bellhop.settings):
        load.wait_until_settled()

    assert bellhop.slack.faults.all() == []
    assert load.result() == Result()


def test_retry_after_is_obeyed_by_all_workers(bellhop: Bellhop) -> None:
    load = Load(bellhop)
    load.accept()
    bellhop.slack.faults.add(REFUSED)
    with working(bellhop.settings), working(bellhop.settings):
        load.wait_until_sent()

    posts = bellhop.slack.calls_to(POST)
    refused = [one.at for one in posts if one.status == 429]
    assert len(refused) == REFUSED.times
    for at in refused:
        meanwhile = [one for one in posts if at < one.at < at + RETRY_AFTER]
        # Requests in flight, and those that were just starting.
        assert len(meanwhile) <= 2 * bellhop.settings.workspace_requests
    assert load.result() == Result()


def test_a_late_update_does_not_stay(bellhop: Bellhop) -> None:
    bellhop.slack.limits.enabled = False
    bellhop.install(ANN)
    accept(bellhop, GENERAL, "down", key="db")
    with working(bellhop.settings):
        wait_until(lambda: texts(bellhop, GENERAL) == ["down"])
        late = Fault("chat.update", "latency", times=1, seconds=LATE_ACCEPTANCE_SECONDS)
        bellhop.slack.faults.add(late)
        accept(bellhop, GENERAL, "still down", key="db")
        wait_until(lambda: bellhop.slack.faults.taken("chat.update") == 1)
        accept(bellhop, GENERAL, "up", key="db")
        # The repeated update, the last one, the first one that was late, and what repairs that.
        wait_until(lambda: len(bellhop.slack.calls_to("chat.update")) == UPDATES)

    assert texts(bellhop, GENERAL) == ["up"]
