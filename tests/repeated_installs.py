"""Installs that an earlier test of the process made, restored instead of made again.

A sign-in takes longer than most of what tests do after it. Its result is the same for every test
that begins with it: the rows in the database, the state of the stand-in for Slack, the page and the
cookies. For that reason the tests of a process use the same ports, and those of half a minute begin
at the same time.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http.cookiejar import Cookie, CookieJar
from pathlib import Path
from threading import Barrier
from typing import Any

from slack_sandbox import Sandbox

# The parts of the stand-in's state that a sign-in may change.
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
    """An install: the state of everything after it, with the person's page and cookies."""

    database: Path
    slack: bytes
    page: Any
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
                made.database.unlink()
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


class RepeatedInstalls:
    """Restores the installs that a test begins with, as far as an earlier test made them too.

    After any other change a test makes its own.
    """

    def __init__(
        self,
        made: MadeInstalls,
        database: str,
        slack: Sandbox,
        background: ThreadPoolExecutor,
        clock: Any,
    ) -> None:
        """Watch an app that has just started.

        Args:
            database: the file of the app's database.
            background: runs what the app does after an install.
        """
        made.begin(clock())
        self._made = made
        self._database = database
        self._slack = slack
        self._background = background
        self._clock = clock
        # Browser tests install in another thread.
        self._watching = sqlite3.connect(database, check_same_thread=False)
        self._steps: tuple[object, ...] = (slack.base_url, slack.config.app_url)
        self._seen = self._look()

    def close(self) -> None:
        """Close the connection that watches the database."""
        self._watching.close()

    def make(self, step: object, cookies: CookieJar, make: Callable[[], Any]) -> Any:
        """Return the page after an install, and set its cookies; `make` makes the install.

        Args:
            step: the arguments of the install.
            cookies: the cookies of a new browser.
        """
        if self._slack.faults.all() or self._look() != self._seen:
            return make()
        self._steps = (*self._steps, step)
        made = self._made.find(self._steps)
        if made is None:
            page = make()
            self._wait_for_background()
            made = Made(self._copied(), self._pickled(), page, tuple(cookies))
            self._made.keep(self._steps, made)
        else:
            self._restore(made)
            for cookie in made.cookies:
                cookies.set_cookie(cookie)
        self._seen = self._look()
        return made.page

    def _look(self) -> tuple[object, ...]:
        """Return what changes with everything that happens."""
        slack = self._slack
        [version] = self._watching.execute("PRAGMA data_version").fetchone()
        numbers = version, slack.version, len(slack.call_log), len(slack.events.log())
        return *numbers, repr(slack.limits), slack.config, self._clock()

    def _wait_for_background(self) -> None:
        """Wait until every thread has done what it was given before."""
        threads = self._background._max_workers
        together = Barrier(threads + 1)
        for _ in range(threads):
            self._background.submit(together.wait)
        together.wait(timeout=30)

    def _copied(self) -> Path:
        path = self._made.new_file()
        with closing(sqlite3.connect(path)) as copy:
            self._watching.backup(copy)
        return path

    def _pickled(self) -> bytes:
        slack = self._slack
        with slack.lock:
            state = {name: getattr(slack, name) for name in _STATE}
            return pickle.dumps((state, slack.call_log.all(), slack.limits._buckets))

    def _restore(self, made: Made) -> None:
        with (
            closing(sqlite3.connect(f"file:{made.database}?immutable=1", uri=True)) as source,
            closing(sqlite3.connect(self._database)) as target,
        ):
            source.backup(target)
        state, calls, buckets = pickle.loads(made.slack)  # noqa: S301
        with self._slack.edit():
            for name, value in state.items():
                setattr(self._slack, name, value)
            self._slack.limits._buckets = buckets
        for call in calls[len(self._slack.call_log) :]:
            self._slack.call_log.add(call)
