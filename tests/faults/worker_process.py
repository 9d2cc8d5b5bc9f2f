"""A worker in a process of its own, to which something happens at a step that a test chooses.

The processes are forked from one that has imported everything already: a test starts many.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Any, Literal

from bolt_app.notifications.rounds import Rounds
from bolt_app.notifications.sending import Sending
from sqlalchemy import event, select

from bolt_app.application import create_app
from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.db.models import Worker
from bolt_app.delivery import create_worker
from bolt_app.notifications import releasing
from bolt_app.services import Services

Step = Literal["begun", "answered", "handed_in", "not_committed", "committed", "released"]

# Longer than it takes to give up what Slack has not answered.
END_SECONDS = 30

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["__main__", __name__])


@dataclass(frozen=True)
class Death:
    """The worker kills itself when it comes to a step for the so-manieth time.

    - `begun`: the attempt is in the database, and nothing is sent.
    - `answered`: Slack has answered, and nobody else knows.
    - `handed_in`: what came of attempts is about to be written down.
    - `not_committed`: it is written, the next attempts are begun, and nothing is committed.
    - `committed`: all of that is committed, and no thread knows of the next attempts.
    - `released`: what a lane held is released, and nothing is committed.
    """

    step: Step
    time: int


@dataclass(frozen=True)
class Sleep:
    """The worker stops (SIGSTOP) when so many attempts, all that it has, have come to a step.

    From the so-manieth on they wait for one another. After SIGCONT those that have `begun` go on
    when the worker has noticed that it was thought dead, and has begun anew.
    """

    step: Literal["begun", "answered"]
    time: int
    attempts: int


Fate = Death | Sleep


def start_worker(settings: Settings, fate: Fate | None = None) -> ForkServerProcess:
    """Start a worker, which ends by SIGTERM unless something else befalls it."""
    process = _forking.Process(target=_work, args=(settings, fate), daemon=True)
    process.start()
    return process


def stop_worker(process: ForkServerProcess) -> int | None:
    """Tell a worker to end; return its exit status."""
    process.terminate()
    process.join(END_SECONDS)
    return process.exitcode


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker to which nothing happens."""
    process = start_worker(settings)
    try:
        yield
    finally:
        status = stop_worker(process)
    assert status == 0


def _work(settings: Settings, fate: Fate | None) -> None:
    logging.basicConfig(level=logging.WARNING)
    services = create_app(settings).extensions["bellhop"]
    match fate:
        case Death():
            _watch_steps(services, _dying(fate))
        case Sleep():
            _watch_steps(services, _sleeping(fate, services.database))
    create_worker(services).run()
    services.close()


def _watch_steps(services: Services, arrive: Callable[[Step], None]) -> None:
    """Call `arrive` each time the worker comes to a step."""
    make, run = Sending.make, Rounds.run
    rounds = threading.local()

    def watched_make(self: Sending, *args: Any) -> Any:
        arrive("begun")
        outcome = make(self, *args)
        arrive("answered")
        return outcome

    def watched_run(self: Rounds, worker_id: str, done: Any, **given: Any) -> Any:
        if not done:
            return run(self, worker_id, done, **given)
        arrive("handed_in")
        rounds.has_begun = True
        made = run(self, worker_id, done, **given)
        rounds.has_begun = False
        arrive("committed")
        return made

    def before_commit(_connection: object) -> None:
        if getattr(rounds, "has_begun", False):
            arrive("not_committed")

    release = releasing._release

    def watched_release(*args: Any) -> None:
        release(*args)
        arrive("released")

    setattr(releasing, "_release", watched_release)  # noqa: B010
    for owner, name, watched in ((Sending, "make", watched_make), (Rounds, "run", watched_run)):
        setattr(owner, name, watched)
    event.listen(services.database.engine, "commit", before_commit)


def _dying(death: Death) -> Callable[[Step], None]:
    arrivals = itertools.count(1)

    def arrive(step: Step) -> None:
        if step == death.step and next(arrivals) == death.time:
            os.kill(os.getpid(), signal.SIGKILL)

    return arrive


def _sleeping(sleep: Sleep, database: Database) -> Callable[[Step], None]:
    arrivals = itertools.count(1)

    def fall_asleep() -> None:
        before = registered_id(database, os.getpid())
        # Not in the middle of writing: asleep it would keep an embedded database from everybody.
        with database.turn:
            os.kill(os.getpid(), signal.SIGSTOP)
        if sleep.step == "begun":
            while registered_id(database, os.getpid()) in (None, before):
                time.sleep(0.01)

    all_together = threading.Barrier(sleep.attempts, action=fall_asleep)

    def arrive(step: Step) -> None:
        if step == sleep.step and 0 <= next(arrivals) - sleep.time < sleep.attempts:
            all_together.wait(END_SECONDS)

    return arrive


def registered_id(database: Database, pid: int) -> str | None:
    """Return the id that the worker of a process has at the moment."""
    with database.reading() as session:
        return session.scalar(select(Worker.id).where(Worker.name.endswith(f":{pid}")))
