"""Wakeups: from any process to every watcher, at once, without blocking the sender."""

from __future__ import annotations

import queue
import resource
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import make_url, text

from bolt_app.db import Database
from bolt_app.notifications.queue.wakeup import SocketWakeup, Wakeup, open_wakeup
from tests.forked_python import run_forked

NOTIFY = """
import sys
from pathlib import Path
from bolt_app.db import Database
from bolt_app.notifications.queue.wakeup import open_wakeup

database = Database(sys.argv[1], [sys.argv[2]])
wakeup = open_wakeup(database)
wakeup.notify("T0OTHER")
wakeup.close()
"""
FULL_SECONDS = 10


class Watcher:
    """Watches in a thread and records its wakeups."""

    def __init__(self, wakeup: Wakeup) -> None:
        self.woken: queue.Queue[str | None] = queue.Queue()
        # The workspace whose wakeup keeps it busy until `is_free` is set.
        self.busy_with: str | None = None
        self.is_free = threading.Event()
        self.stopped = threading.Event()
        self._wakeup = wakeup
        self._thread = threading.Thread(target=wakeup.watch, args=(self._keep, self.stopped))
        self._thread.start()
        assert self.take() is None, "it begins with a look at everything"

    def _keep(self, team_id: str | None) -> None:
        self.woken.put(team_id)
        if team_id is not None and team_id == self.busy_with:
            self.is_free.wait(FULL_SECONDS)

    def take(self, seconds: float = FULL_SECONDS) -> str | None:
        return self.woken.get(timeout=seconds)

    def wait_for(self, team_id: str | None) -> None:
        """Wait for a workspace; tests that run beside this one notify on the same server."""
        while self.take() != team_id:
            continue

    def stop(self) -> float:
        """Stop it and return how long that took."""
        began = time.monotonic()
        self.stopped.set()
        self._wakeup.notify()
        self._thread.join(FULL_SECONDS)
        assert not self._thread.is_alive()
        return time.monotonic() - began


@contextmanager
def watching(wakeup: Wakeup) -> Iterator[Watcher]:
    watcher = Watcher(wakeup)
    try:
        yield watcher
    finally:
        watcher.is_free.set()
        watcher.stop()


@pytest.fixture
def wakeup(database: Database) -> Iterator[Wakeup]:
    with closing(open_wakeup(database)) as wakeup:
        yield wakeup


def folder_of(database: Database) -> Path:
    return Path(f"{database.engine.url.database}-wakeup")


def test_a_wakeup_carries_the_workspace(wakeup: Wakeup) -> None:
    with watching(wakeup) as watcher:
        wakeup.notify("T0ACME")
        watcher.wait_for("T0ACME")
        wakeup.notify()
        watcher.wait_for(None)


def test_every_watcher_of_a_database_is_woken(wakeup: Wakeup, database: Database) -> None:
    with (
        closing(open_wakeup(database)) as other,
        watching(wakeup) as first,
        watching(other) as second,
    ):
        wakeup.notify("T0ACME")

        first.wait_for("T0ACME")
        second.wait_for("T0ACME")


@pytest.mark.slow
def test_another_process_wakes_watchers(wakeup: Wakeup, database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    with watching(wakeup) as watcher:
        key = Fernet.generate_key().decode()
        run_forked([sys.executable, "-c", NOTIFY, url, key], check=True)

        watcher.wait_for("T0OTHER")


def test_a_watcher_stops_at_once_and_may_watch_again(wakeup: Wakeup) -> None:
    assert Watcher(wakeup).stop() < 0.9
    with watching(wakeup) as watcher:
        wakeup.notify("T0ACME")
        watcher.wait_for("T0ACME")


def test_a_busy_watcher_never_blocks_senders_and_misses_nothing(wakeup: Wakeup) -> None:
    with watching(wakeup) as watcher:
        watcher.busy_with = "T0FIRST"
        wakeup.notify("T0FIRST")
        watcher.wait_for("T0FIRST")
        began = time.monotonic()
        sent = {f"T{number}" for number in range(3000)}
        for team_id in sent:
            wakeup.notify(team_id)
        assert time.monotonic() - began < FULL_SECONDS / 2
        watcher.is_free.set()

        woken: set[str | None] = set()
        while not (None in woken or sent <= woken):
            woken.add(watcher.take())
        wakeup.notify("T0LAST")
        while watcher.take() not in ("T0LAST", None):
            continue


@pytest.mark.postgresql
def test_a_watcher_connects_with_all_options_of_the_url(
    postgres_server: str, encryption_key: str
) -> None:
    options = "-c statement_timeout=54321 -c application_name=watcher"
    url = make_url(postgres_server).update_query_dict({"options": options})
    named = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watcher'")
    with closing(Database(postgres_server, [encryption_key])) as database:
        wakeup = open_wakeup(database, url.render_as_string(hide_password=False))
        with closing(wakeup), watching(wakeup), database.engine.connect() as connection:
            assert connection.execute(named).scalar_one() == 1


@pytest.mark.sqlite_only
class TestSockets:
    def test_only_their_owner_may_use_them(self, wakeup: Wakeup, database: Database) -> None:
        with watching(wakeup):
            folder = folder_of(database)
            [path] = folder.iterdir()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert path.is_socket()

        assert list(folder.iterdir()) == []

    def test_the_socket_of_a_dead_watcher_is_removed(
        self, wakeup: Wakeup, database: Database
    ) -> None:
        folder = folder_of(database)
        folder.mkdir()
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as dead:
            dead.bind(str(folder / "dead"))
        wakeup.notify("T0ACME")
        assert (folder / "dead").exists()

        with watching(wakeup) as watcher:
            assert not (folder / "dead").exists()
            wakeup.notify("T0ACME")
            assert watcher.take() == "T0ACME"

    @pytest.mark.parametrize("length", [60, 100, 107, 200])
    def test_a_long_folder_path_works(self, tmp_path: Path, length: int) -> None:
        folder = tmp_path / ("d" * length)
        folder.mkdir()
        with closing(SocketWakeup(folder / "bellhop.db")) as wakeup, watching(wakeup) as watcher:
            wakeup.notify("T0ACME")
            assert watcher.take() == "T0ACME"

    def test_without_sockets_workers_poll(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "bellhop.db-wakeup").write_text("in the way")
        stopped = threading.Event()
        woken: list[str | None] = []
        with closing(SocketWakeup(tmp_path / "bellhop.db")) as wakeup:
            thread = threading.Thread(target=wakeup.watch, args=(woken.append, stopped))
            thread.start()
            wakeup.notify("T0ACME")
            stopped.set()
            thread.join(FULL_SECONDS)

        assert woken == [None]
        assert "once a second" in caplog.text

    def test_idle_watchers_cost_nothing(self, wakeup: Wakeup) -> None:
        with watching(wakeup):
            used = used_by_this_process(lambda: time.sleep(2))

        assert used < 0.02, "1 % of a core"


def used_by_this_process(action: Callable[[], None]) -> float:
    """Return the CPU seconds that it takes."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
