"""Installs and setups that an earlier test of the process made, restored instead of made again.

A sign-in takes longer than most of what tests do after it, and some setups take longer than that.
The result is the same for every test that begins with it: the rows in the database, the state of
the stand-in for Slack, the time, the page and the cookies. For that reason the tests of a process
use the same ports, and those of half a minute begin at the same time.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http.cookiejar import Cookie, CookieJar
from io import BytesIO
from pathlib import Path
from threading import Barrier, Event
from typing import Any

from slack_sandbox import Sandbox
from tests.restored_rows import Rows

# The parts of the stand-in's state that a setup may change.
_STATE = (
    "world",
    "tokens",
    "codes",
    "triggers",
    "response_urls",
    "step_runs",
    "shared_links",
    "uploads",
)


@dataclass(frozen=True)
class Made:
    """The state of everything after an install or setup, with its result and cookies."""

    rows: Path
    slack: bytes
    at: datetime
    result: Any
    cookies: tuple[Cookie, ...]


class MadeInstalls:
    """The installs of a process that began at the same time, by the installs before them."""

    def __init__(self, folder: Path) -> None:
        """Keep copies of databases in `folder`."""
        self._folder = folder
        self._began_at: datetime | None = None
        self._made: dict[object, Made] = {}

    def begin(self, at: datetime) -> None:
        """Forget the installs that began at another time than a new test."""
        if at != self._began_at:
            for made in self._made.values():
                made.rows.unlink()
            self._made.clear()
            self._began_at = at

    def find(self, key: object) -> Made | None:
        """Return an install that was made before."""
        return self._made.get(key)

    def new_file(self) -> Path:
        """Return the path for a copy of a database."""
        return self._folder / f"{len(self._made)}.db"

    def keep(self, key: object, made: Made) -> None:
        """Keep an install."""
        self._made[key] = made


class _Pickler(pickle.Pickler):
    """Copies the stand-in's requests to the app too, which others can wait for."""

    dispatch_table = {Event: lambda event: (_event, (event.is_set(),))}  # noqa: RUF012


def _event(is_set: bool) -> Event:
    event = Event()
    if is_set:
        event.set()
    return event


class RepeatedInstalls:
    """Restores what a test begins with, as far as an earlier test began with the same.

    After any other change a test makes its own. The app has nothing in memory of what was
    restored, as after a restart.
    """

    def __init__(
        self,
        made: MadeInstalls,
        rows: Rows,
        slack: Sandbox,
        threads: Sequence[ThreadPoolExecutor],
        clock: Any,
        settings: str,
    ) -> None:
        """Watch an app that has just started.

        Args:
            rows: the rows of the app's database.
            threads: run what the app does after a response; a later one also what an earlier
                one leaves to it.
            settings: the settings of the app, except for those that all tests have.
        """
        made.begin(clock())
        self._made = made
        self._rows = rows
        self._slack = slack
        self._threads = threads
        self._clock = clock
        self._steps: tuple[object, ...] = (
            rows.kind,
            settings,
            slack.base_url,
            slack.config.app_url,
        )
        self._seen = self._look()

    def close(self) -> None:
        """Stop watching the database."""
        self._rows.close()

    def make(self, step: object, cookies: CookieJar, make: Callable[[], Any]) -> Any:
        """Return the result of an install or a setup, and set its cookies; `make` makes it.

        Args:
            step: the arguments of the install, or the setup.
            cookies: the cookies of a new browser.
        """
        if self._slack.faults.all() or self._look() != self._seen:
            return make()
        # A test that moves its clock before is another one.
        steps = (*self._steps, step, self._clock())
        made = self._made.find(steps)
        if made is None:
            result = make()
            self._keep(steps, result, cookies)
        else:
            result = made.result
            self._restore(made)
            for cookie in made.cookies:
                cookies.set_cookie(cookie)
        # After the steps of a setup, which are not steps of the test.
        self._steps = steps
        self._seen = self._look()
        return result

    def _look(self) -> tuple[object, ...]:
        """Return what changes with everything that happens.

        Tests change parts of the stand-in's state directly, which only the state shows.
        """
        slack = self._slack
        return self._rows.look(), self._pickled(), repr(slack.limits), slack.config

    def _keep(self, steps: object, result: Any, cookies: CookieJar) -> None:
        self._slack.deliver_due()
        self._wait_for_threads()
        path = self._made.new_file()
        self._rows.copy(path)
        made = Made(path, self._pickled(), self._clock(), result, tuple(cookies))
        self._made.keep(steps, made)

    def _wait_for_threads(self) -> None:
        """Wait until every thread has done what it was given before."""
        for threads in self._threads:
            together = Barrier(threads._max_workers + 1)
            for _ in range(threads._max_workers):
                threads.submit(together.wait)
            together.wait(timeout=30)

    def _pickled(self) -> bytes:
        slack, content = self._slack, BytesIO()
        with slack.lock:
            state = {name: getattr(slack, name) for name in _STATE}
            events = slack.events._waiting, slack.events._log
            calls = slack.call_log.all()
            _Pickler(content).dump((state, events, calls, slack.limits._buckets))
        return content.getvalue()

    def _restore(self, made: Made) -> None:
        self._rows.restore(made.rows)
        state, events, calls, buckets = pickle.loads(made.slack)  # noqa: S301
        self._clock.now = made.at
        with self._slack.edit():
            for name, value in state.items():
                setattr(self._slack, name, value)
            self._slack.events._waiting, self._slack.events._log = events
            self._slack.limits._buckets = buckets
        for call in calls[len(self._slack.call_log) :]:
            self._slack.call_log.add(call)
