"""Two workers share the load: they are killed, suspended, suspended in turn, or stopped.

Those that are killed or told to end are the command itself, with the delays of production: nothing
is scaled there, and the times are those that are required.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Protocol, TypeVar

import pytest
from sqlalchemy import select

from bolt_app.clock import utc_now
from bolt_app.config import ROOT
from bolt_app.db.models import Delivery, Lane
from slack_sandbox import Fault
from tests.commands import FLASK
from tests.delivering import quick_bellhop
from tests.faults.load import (
    CHANNELS,
    DELAYS,
    MANY_EACH,
    POST,
    Load,
    Result,
    posts,
    wait_until,
)
from tests.faults.worker_process import Sleep, Step, start_worker, stop_worker, working
from tests.forked_python import ForkedPython
from tests.running import Bellhop

LOOK = "conversations.history"
# Lanes with nothing under way go on within so long, those with something are looked at. The first
# of them is what is measured here: the machine may be busy; `benchmarks.required` measures each.
OTHERS_SECONDS = 2
TAKEOVER_SECONDS = 30
END_SECONDS = 15
# Shorter than it takes to replace a worker that is stopped.
STOPPED_SECONDS = 1
CHANNEL_PER_MINUTE = 120
# Long enough for several takeovers.
LASTING = {"channel_per_minute": 60}
# How often one of two workers is suspended as soon as it has replaced the other.
TURNS = 4


@pytest.fixture
def pace() -> dict[str, int]:
    """Return the settings that differ from the default: none, unless a test overrides this."""
    return {}


@pytest.fixture
def bellhop(database_url: str, encryption_key: str, pace: dict[str, int]) -> Iterator[Bellhop]:
    """Run Bellhop in real time."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS, **pace) as running:
        yield running


Command = ForkedPython | subprocess.Popen[str]


class Start(Protocol):
    """Starts a worker: forked, or in a new interpreter."""

    def __call__(self, *, is_forked: bool = True) -> Command:
        """Start it."""


class Process(Protocol):
    """A worker, started by either method."""

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""


Worker = TypeVar("Worker", bound=Process)


@pytest.fixture
def start_command(bellhop: Bellhop, tmp_path: Path) -> Iterator[Start]:
    """Start `flask --app app worker` for each call."""
    settings = bellhop.settings
    (tmp_path / "env").write_text(
        f"SLACK_CLIENT_ID={settings.slack_client_id}\n"
        f"SLACK_CLIENT_SECRET={settings.slack_client_secret}\n"
        f"SLACK_SIGNING_SECRET={settings.slack_signing_secret}\n"
        f"SLACK_BASE_URL={settings.slack_base_url}\n"
        f"DATABASE_URL={settings.database_url}\n"
        f"ENCRYPTION_KEYS={','.join(settings.encryption_keys)}\n"
        f"SESSION_SECRET={settings.session_secret}\n"
        f"WORKER_THREADS={settings.worker_threads}\n"
        f"CHANNEL_PER_MINUTE={settings.channel_per_minute}\n"
        f"WORKSPACE_PER_MINUTE={settings.workspace_per_minute}\n"
        "LOG_LEVEL=WARNING\n"
    )
    running: list[Command] = []

    def start(*, is_forked: bool = True) -> Command:
        command = [*FLASK, "worker"]
        env = {"PATH": os.environ["PATH"], "FLASK_SKIP_DOTENV": "1"}
        env["FLASK_ENV_FILE"] = str(tmp_path / "env")
        process: Command
        if is_forked:
            process = ForkedPython(command, env=env, stderr=subprocess.PIPE)
        else:
            process = subprocess.Popen(  # noqa: S603
                command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
            )
        running.append(process)
        return process

    yield start
    for one in running:
        with one:
            one.kill()


def wait_until_started(worker: Command) -> None:
    """Wait until a command delivers, which takes seconds on a busy machine."""
    assert worker.stderr is not None
    assert any("Delivering" in line for line in worker.stderr)


def under_way(bellhop: Bellhop) -> list[str]:
    """Return the channels with a delivery in flight."""
    lanes = select(Lane.address).join(Delivery, Delivery.lane_id == Lane.id)
    with bellhop.services.database.reading() as session:
        return list(session.scalars(lanes.where(Delivery.state == "sending")))


@pytest.mark.parametrize("pace", [{"channel_per_minute": CHANNEL_PER_MINUTE}], ids=["paced"])
def test_a_killed_owner_is_replaced_and_its_messages_are_looked_for(
    bellhop: Bellhop, start_command: Start
) -> None:
    load = Load(bellhop, messages_each=MANY_EACH)
    load.accept()
    workers = [start_command(), start_command()]
    for one in workers:
        wait_until_started(one)
    load.wait_until_sent(CHANNELS)
    dying = stop_owner(bellhop, workers)
    [living] = [one for one in workers if one is not dying]
    begun = under_way(bellhop)
    dying.kill()
    killed_at = utc_now().timestamp()

    load.wait_until_sent(seconds=90)
    living.terminate()

    assert living.wait(END_SECONDS) == 0
    others = [
        one.at
        for one in bellhop.slack.calls_to(POST)
        if one.at > killed_at and one.arguments["channel"] not in begun
    ]
    assert min(others) - killed_at < OTHERS_SECONDS
    looks = {str(one.arguments["channel"]): one.at for one in bellhop.slack.calls_to(LOOK)}
    assert set(looks) >= set(begun)
    assert max(looks[one] for one in begun) - killed_at < TAKEOVER_SECONDS
    assert shortest_pause(bellhop) >= 0.9 * 60 / CHANNEL_PER_MINUTE
    assert load.result() == Result()


def stop_owner(bellhop: Bellhop, workers: Sequence[Worker]) -> Worker:
    """Suspend the worker that sends, while it has a delivery in flight."""
    for one in itertools.cycle(workers):
        send_signal(one, signal.SIGSTOP)
        wait_until(partial(is_stopped, one.pid))
        # Requests in flight arrive; another worker would send more.
        enough = posts(bellhop) + bellhop.settings.workspace_requests
        ends = monotonic() + STOPPED_SECONDS
        while posts(bellhop) <= enough and monotonic() < ends:
            bellhop.slack.wait_for_change(bellhop.slack.version, 0.1)
        if posts(bellhop) <= enough and under_way(bellhop):
            return one
        send_signal(one, signal.SIGCONT)
    raise AssertionError("unreachable")


def send_signal(worker: Process, number: signal.Signals) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, number)


def is_stopped(pid: int | None) -> bool:
    """Whether SIGSTOP has taken effect (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def shortest_pause(bellhop: Bellhop) -> float:
    """Return the shortest time between two posts into one channel."""
    posted: dict[str, list[float]] = {}
    for one in bellhop.slack.calls_to(POST):
        posted.setdefault(str(one.arguments["channel"]), []).append(one.at)
    return min(later - before for at in posted.values() for before, later in pairwise(at))


STEPS: list[Step] = ["begun", "granted", "checked", "answered", "handed_in", "not_committed"]


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("step", STEPS)
def test_a_suspended_owner_is_replaced_and_leaves_no_duplicates(
    bellhop: Bellhop, step: Step
) -> None:
    load = Load(bellhop)
    load.accept()
    sleeping = start_worker(bellhop.settings, Sleep(step, time=30))
    wait_until(partial(is_stopped, sleeping.pid))
    # Before the other worker starts: on a busy machine it may have replaced the first by then.
    before = {one: count(bellhop, one) for one in under_way(bellhop)}
    assert before
    with working(bellhop.settings):
        wait_until(lambda: all(count(bellhop, one) > before[one] for one in before))
        os.kill(sleeping.pid or 0, signal.SIGCONT)
        load.wait_until_settled()
        assert stop_worker(sleeping) == 0

    assert load.result() == Result()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("step", STEPS[:-2])
def test_on_sqlite_a_suspended_owner_stalls_deliveries_until_it_continues(
    bellhop: Bellhop, step: Step
) -> None:
    load = Load(bellhop)
    load.accept()
    sleeping = start_worker(bellhop.settings, Sleep(step, time=30))
    wait_until(partial(is_stopped, sleeping.pid))
    with working(bellhop.settings):
        sent = load.sent()
        assert not bellhop.slack.wait_for_change(bellhop.slack.version, 3) > bellhop.slack.version
        assert load.sent() == sent
        os.kill(sleeping.pid or 0, signal.SIGCONT)
        load.wait_until_settled()
        assert stop_worker(sleeping) == 0

    assert load.result() == Result()


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("pace", [LASTING], ids=["paced"])
def test_workers_that_are_suspended_in_turn_replace_each_other(bellhop: Bellhop) -> None:
    load = Load(bellhop, messages_each=MANY_EACH)
    load.accept()
    workers = [start_worker(bellhop.settings), start_worker(bellhop.settings)]
    load.wait_until_sent(CHANNELS)
    suspended = stop_owner(bellhop, workers)
    for _ in range(TURNS):
        enough = posts(bellhop) + bellhop.settings.workspace_requests
        wait_until(lambda: posts(bellhop) > enough)  # noqa: B023
        [owner] = [one for one in workers if one is not suspended]
        send_signal(owner, signal.SIGSTOP)
        send_signal(suspended, signal.SIGCONT)
        suspended = owner
    assert load.sent() < load.total
    send_signal(suspended, signal.SIGCONT)
    load.wait_until_settled()

    assert [stop_worker(one) for one in workers] == [0, 0]
    assert load.result() == Result()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("pace", [LASTING], ids=["paced"])
def test_on_sqlite_workers_that_are_suspended_in_turn_do_not_replace_each_other(
    bellhop: Bellhop,
) -> None:
    load = Load(bellhop, messages_each=MANY_EACH)
    load.accept()
    workers = [start_worker(bellhop.settings), start_worker(bellhop.settings)]
    load.wait_until_sent(CHANNELS)
    for _ in range(TURNS // 2):
        owner = stop_owner(bellhop, workers)
        [other] = [one for one in workers if one is not owner]
        version = bellhop.slack.version
        assert bellhop.slack.wait_for_change(version, DELAYS.owner_silence) == version
        send_signal(other, signal.SIGSTOP)
        send_signal(owner, signal.SIGCONT)
        load.wait_until_sent(load.sent() + CHANNELS)
        send_signal(other, signal.SIGCONT)
    load.wait_until_settled()

    assert [stop_worker(one) for one in workers] == [0, 0]
    assert load.result() == Result()


def count(bellhop: Bellhop, channel_id: str) -> int:
    return len(bellhop.slack.messages(channel_id))


def test_a_worker_that_is_stopped_leaves_nothing_open(
    bellhop: Bellhop, start_command: Start
) -> None:
    """The first worker is the real command in a new interpreter."""
    load = Load(bellhop)
    load.accept()
    bellhop.slack.faults.add(Fault(POST, "latency", seconds=0.15))
    ending = start_command(is_forked=False)
    load.wait_until_sent(CHANNELS)
    ending.terminate()

    assert ending.wait(END_SECONDS) == 0
    sent = load.sent()
    assert load.states() == {"sent": sent, "waiting": load.total - sent}
    assert sum(count(bellhop, one) for one in load.channels) == sent
    bellhop.slack.faults.clear()
    following = start_command()
    load.wait_until_sent()
    following.terminate()

    assert following.wait(END_SECONDS) == 0
    assert bellhop.slack.calls_to(LOOK) == []
    assert load.result() == Result()
