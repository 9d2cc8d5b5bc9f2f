"""A worker is killed between the provisional `ts` of messages and Slack's."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from bolt_app.db.models import IS_OPEN, Delivery
from tests.delivering import quick_bellhop
from tests.faults.load import DELAYS, wait_until
from tests.faults.worker_process import Death, start_worker, working
from tests.people import ACME, ANN
from tests.running import Bellhop
from tests.web.methods.calling import MethodCaller, method_caller

CHANNELS, THREADS, DEATHS, START_SECONDS = 3, 4, 2, 30
# The first message of a thread, and its replies.
REPLIES = ("a", "b")


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time, in a Slack without limits."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS) as running:
        running.slack.limits.enabled = False
        running.install(ANN)
        yield running


def add_channels(bellhop: Bellhop) -> list[str]:
    """Create channels with the bot in each."""
    [installation] = bellhop.slack.installations.values()
    members = [str(installation.bot_user_id)]
    return [
        bellhop.slack.add_channel(ACME, f"thread-{number}", members=members).id
        for number in range(CHANNELS)
    ]


def post_threads(caller: MethodCaller, channel: str) -> list[str]:
    """Post threads, change the first message of each, and delete its last reply.

    Returns: the `ts` of the first messages.
    """
    firsts = []
    for number in range(THREADS):
        there = {"channel": channel}
        ts = caller.ok("chat.postMessage", **there, text=f"{number} draft")["ts"]
        for reply in (*REPLIES, "gone"):
            last = caller.ok("chat.postMessage", **there, text=f"{number} {reply}", thread_ts=ts)[
                "ts"
            ]
        caller.ok("chat.update", **there, ts=ts, text=str(number))
        caller.ok("chat.delete", **there, ts=last)
        firsts.append(ts)
    return firsts


def is_open(bellhop: Bellhop) -> bool:
    with bellhop.services.database.reading() as session:
        return bool(session.scalar(select(func.count()).select_from(Delivery).where(IS_OPEN)))


@pytest.mark.parametrize(
    "death",
    [Death("begun", 12), Death("answered", 12), Death("not_committed", 4), Death("committed", 4)],
    ids=lambda death: death.step,
)
def test_nothing_is_lost_or_doubled_and_threads_are_right(bellhop: Bellhop, death: Death) -> None:
    caller, channels = method_caller(bellhop), add_channels(bellhop)
    firsts = {channel: post_threads(caller, channel) for channel in channels}

    for _ in range(DEATHS):
        worker = start_worker(bellhop.settings, death)
        worker.join(START_SECONDS)
        assert worker.exitcode == -signal.SIGKILL
    # Some of the messages are posted, some in doubt, and some wait.
    for channel in channels:
        for number, ts in enumerate(firsts[channel]):
            caller.ok("chat.update", channel=channel, ts=ts, text=f"changed {number}")
        post_threads(caller, channel)
    with working(bellhop.settings):
        wait_until(lambda: not is_open(bellhop))

    for channel in channels:
        messages = bellhop.slack.messages(channel)
        roots = [one for one in messages if one.thread_ts in (None, one.ts)]
        numbers = [str(number) for number in range(THREADS)]
        assert [one.text for one in roots] == [f"changed {one}" for one in numbers] + numbers
        for root in roots:
            replies = [one.text for one in messages if one.thread_ts == root.ts != one.ts]
            name = root.text.removeprefix("changed ")
            assert replies == [f"{name} {reply}" for reply in REPLIES]
