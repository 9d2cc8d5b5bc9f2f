"""A worker in a separate process that meets its fate at a step that a test chooses.

The processes are forked from one that has imported everything already: a test starts many.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Any, Literal

from sqlalchemy import event

from bolt_app.application import create_app
from bolt_app.config import Settings
from bolt_app.db import Database
from bolt_app.installations.records import Grant
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.installations.tokens.grants import TokenRequest
from bolt_app.notifications.delivery import transitions
from bolt_app.notifications.delivery.dispatcher import Dispatcher
from bolt_app.notifications.delivery.sender import Check, MessageSender
from bolt_app.notifications.delivery.store import Store
from bolt_app.notifications.digests import release as releasing
from bolt_app.services import Services
from bolt_app.worker import create_worker
from tests.forking import forking

Step = Literal[
    "begun",
    "granted",
    "checked",
    "answered",
    "handed_in",
    "not_committed",
    "committed",
    "released",
]

# Longer than the timeout of requests to Slack.
END_SECONDS = 30


@dataclass(frozen=True)
class Death:
    """The worker kills itself when it reaches a step for the n-th time.

    - `begun`: the attempt is in the database, and nothing is sent.
    - `granted`: tokens are being looked up, in a thread, for all that is sent together.
    - `checked`: the last check has passed, and the request is about to be sent.
    - `answered`: Slack has answered, and nobody else knows.
    - `handed_in`: the outcomes of attempts are about to be written.
    - `not_committed`: they are written, and nothing is committed.
    - `committed`: all of that is committed, and nothing in the process knows.
    - `released`: what a lane held is released, and nothing is committed.
    """

    step: Step
    time: int


@dataclass(frozen=True)
class Sleep:
    """The worker suspends itself (SIGSTOP) when it reaches a step for the n-th time."""

    step: Step
    time: int


Fate = Death | Sleep


def start_worker(settings: Settings, fate: Fate | None = None) -> ForkServerProcess:
    """Start a worker, which ends by SIGTERM unless its fate comes first."""
    process = forking.Process(target=_work, args=(settings, fate), daemon=True)
    process.start()
    return process


def stop_worker(process: ForkServerProcess) -> int | None:
    """Stop a worker; return its exit status."""
    process.terminate()
    process.join(END_SECONDS)
    return process.exitcode


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker without a fate."""
    process = start_worker(settings)
    try:
        yield
    finally:
        status = stop_worker(process)
    assert status == 0


def _work(settings: Settings, fate: Fate | None) -> None:
    logging.basicConfig(level=logging.WARNING)
    services = create_app(settings).extensions["bellhop"]
    if fate is not None:
        _watch_steps(services, _meeting(fate, services.database))
    create_worker(services).run()
    services.close()


def _watch_steps(services: Services, arrive: Callable[[Step], None]) -> None:
    """Call `arrive` each time the worker reaches a step."""
    send, commit, check = MessageSender.send, Store.commit, Dispatcher._check
    find_unchanged, release = GrantCache.find_unchanged, releasing.release
    writing = threading.local()

    async def watched_send(self: MessageSender, *given: Any) -> Any:
        arrive("begun")
        outcome = await send(self, *given)
        arrive("answered")
        return outcome

    def watched_check(self: Dispatcher, *given: Any) -> Check:
        confirm = check(self, *given)

        async def confirm_and_arrive() -> None:
            await confirm()
            arrive("checked")

        return confirm_and_arrive

    def watched_find(
        self: GrantCache, requests: Collection[TokenRequest]
    ) -> dict[TokenRequest, Grant]:
        arrive("granted")
        return find_unchanged(self, requests)

    def watched_commit(self: Store, finishes: Any, begins: Any, **room: int) -> Any:
        if not finishes:
            return commit(self, finishes, begins, **room)
        arrive("handed_in")
        writing.has_begun = True
        committed = commit(self, finishes, begins, **room)
        writing.has_begun = False
        arrive("committed")
        return committed

    def before_commit(_connection: object) -> None:
        if getattr(writing, "has_begun", False):
            arrive("not_committed")

    def watched_release(*given: Any) -> None:
        release(*given)
        arrive("released")

    steps: tuple[tuple[object, str, object], ...] = (
        (MessageSender, "send", watched_send),
        (Dispatcher, "_check", watched_check),
        (GrantCache, "find_unchanged", watched_find),
        (Store, "commit", watched_commit),
        (transitions, "release", watched_release),
    )
    for owner, name, watched in steps:
        setattr(owner, name, watched)
    event.listen(services.database.engine, "commit", before_commit)


def _meeting(fate: Fate, database: Database) -> Callable[[Step], None]:
    arrivals = itertools.count(1)

    def arrive(step: Step) -> None:
        if step == fate.step and next(arrivals) == fate.time:
            meet()

    def meet() -> None:
        if isinstance(fate, Death):
            os.kill(os.getpid(), signal.SIGKILL)
        elif step_writes(fate.step):
            suspend()
        else:
            # Not while writing: suspended, it would lock an embedded database for all others.
            with database.turn:
                suspend()

    def suspend() -> None:
        # Sent to this thread: sent to the process, another thread may have to be scheduled before
        # the signal takes effect, and until then this one would take the next step.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    return arrive


def step_writes(step: Step) -> bool:
    """Whether a worker that reaches a step is in a transaction."""
    return step in ("not_committed", "released")
