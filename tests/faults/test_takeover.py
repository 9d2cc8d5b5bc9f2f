"""Two workers share the load, and one of them is killed for good, falls asleep, or is told to end.

The one that is killed or told to end is the command itself, with the time it waits in life.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import select

from bolt_app.clock import utc_now
from bolt_app.config import ROOT
from bolt_app.db.models import Lane, Worker
from bolt_app.sandbox import Fault
from tests.delivering import quick_bellhop
from tests.faults.load import CHANNELS, DELAYS, THREADS, TOTAL, Load, Result, wait_until
from tests.faults.worker_process import Sleep, start_worker, stop_worker, working
from tests.running import Bellhop

POST, LOOK = "chat.postMessage", "conversations.history"
TAKEOVER_SECONDS = 30
END_SECONDS = 10
# One workspace has so many of a worker's threads.
SHARE = THREADS - THREADS // 4
CHANNEL_PER_MINUTE = 120


@pytest.fixture
def pace() -> dict[str, int]:
    """The settings that differ: none, unless the test has some."""
    return {}


@pytest.fixture
def bellhop(database_url: str, encryption_key: str, pace: dict[str, int]) -> Iterator[Bellhop]:
    """Bellhop in real time."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS, **pace) as running:
        yield running


Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_command(bellhop: Bellhop, tmp_path: Path) -> Iterator[Start]:
    """Start `flask --app app worker`, as often as it is called."""
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
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flask", "--app", "app", "worker"]
        env = {"PATH": os.environ["PATH"], "FLASK_SKIP_DOTENV": "1"}
        env["FLASK_ENV_FILE"] = str(tmp_path / "env")
        running.append(subprocess.Popen(command, cwd=ROOT, env=env))  # noqa: S603
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.wait()


def held_by(bellhop: Bellhop, pid: int | None) -> list[str]:
    """Return the channels whose lanes the worker of a process has."""
    lanes = select(Lane.address).join(Worker, Worker.id == Lane.worker_id)
    with bellhop.services.database.reading() as session:
        return list(session.scalars(lanes.where(Worker.name.endswith(f":{pid}"))))


@pytest.mark.parametrize("pace", [{"channel_per_minute": CHANNEL_PER_MINUTE}], ids=["paced"])
def test_what_a_dead_worker_held_goes_on_within_half_a_minute(
    bellhop: Bellhop, start_command: Start
) -> None:
    load = Load(bellhop)
    load.accept()
    dying, living = start_command(), start_command()
    load.wait_until_sent(TOTAL // 10)
    held = stop_while_it_holds_lanes(bellhop, dying)
    dying.kill()
    killed_at = utc_now().timestamp()

    load.wait_until_sent(seconds=90)
    living.terminate()

    assert living.wait(END_SECONDS) == 0
    # Whoever takes over begins with a look for what the other may have posted.
    resumed = {str(one.arguments["channel"]): one.at for one in bellhop.slack.calls_to(LOOK)}
    assert set(resumed) == set(held)
    assert max(resumed.values()) - killed_at < TAKEOVER_SECONDS
    assert shortest_pause(bellhop) >= 60 / CHANNEL_PER_MINUTE
    assert load.result() == Result()


def stop_while_it_holds_lanes(bellhop: Bellhop, worker: subprocess.Popen[bytes]) -> list[str]:
    """Stop a worker in the middle of something; return the channels whose lanes it has."""

    def is_busy() -> bool:
        worker.send_signal(signal.SIGSTOP)
        wait_until(partial(is_stopped, worker.pid))
        if held_by(bellhop, worker.pid):
            return True
        worker.send_signal(signal.SIGCONT)
        return False

    wait_until(is_busy)
    return held_by(bellhop, worker.pid)


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


@pytest.mark.parametrize("step", ["begun", "answered"])
def test_one_that_was_asleep_sends_nothing_of_what_was_taken_over(
    bellhop: Bellhop, step: Literal["begun", "answered"]
) -> None:
    load = Load(bellhop)
    load.accept()
    with working(bellhop.settings):
        fate = Sleep(step, time=50, attempts=SHARE)
        sleeping = start_worker(bellhop.settings, fate)
        wait_until(partial(is_stopped, sleeping.pid))
        before = {one: count(bellhop, one) for one in held_by(bellhop, sleeping.pid)}
        assert len(before) == SHARE
        wait_until(lambda: all(count(bellhop, one) > before[one] + 1 for one in before))
        os.kill(sleeping.pid or 0, signal.SIGCONT)
        load.wait_until_sent()
        assert stop_worker(sleeping) == 0

    assert load.result() == Result()


def count(bellhop: Bellhop, channel_id: str) -> int:
    return len(bellhop.slack.messages(channel_id))


def test_one_that_is_told_to_end_leaves_nothing_open(
    bellhop: Bellhop, start_command: Start
) -> None:
    load = Load(bellhop)
    load.accept()
    bellhop.slack.faults.add(Fault(POST, "latency", seconds=0.15))
    ending = start_command()
    load.wait_until_sent(CHANNELS)
    ending.terminate()

    assert ending.wait(END_SECONDS) == 0
    sent = load.sent()
    assert load.states() == {"sent": sent, "waiting": TOTAL - sent}
    assert sum(count(bellhop, one) for one in load.channels) == sent
    with bellhop.services.database.reading() as session:
        assert session.scalars(select(Worker.id)).all() == []
        assert set(session.scalars(select(Lane.worker_id))) == {None}

    bellhop.slack.faults.clear()
    following = start_command()
    load.wait_until_sent()
    following.terminate()

    assert following.wait(END_SECONDS) == 0
    assert bellhop.slack.calls_to(LOOK) == []
    assert load.result() == Result()
