"""The process lock: writing processes of an SQLite database queue fairly."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bolt_app.db import Database
from bolt_app.db.process_lock import ProcessLock
from tests.forked_python import ForkedPython

# Writes continuously, and so holds the lock nearly all the time.
BUSY_WRITER = """
import sys, time
from sqlalchemy import text
from bolt_app.db import Database

database = Database(sys.argv[1], [sys.argv[2]])
while True:
    with database.writing_connection() as connection:
        connection.execute(text("UPDATE counts SET written = written + 1"))
        time.sleep(0.005)
    print(flush=True)
"""
HOLDER = """
import sys, time
from pathlib import Path
from bolt_app.db.process_lock import ProcessLock

with ProcessLock(Path(sys.argv[1]), timeout=1):
    print(flush=True)
    time.sleep(60)
"""
WRITES = 50


@contextmanager
def running(script: str, *arguments: str) -> Iterator[ForkedPython]:
    """Start a script, and wait for its first line."""
    command = [sys.executable, "-c", script, *arguments]
    with ForkedPython(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def lock_of(folder: Path) -> ProcessLock:
    return ProcessLock(folder / "bellhop.db", timeout=0.1)


def test_a_busy_process_does_not_overtake_another(tmp_path: Path, encryption_key: str) -> None:
    url = f"sqlite:///{tmp_path / 'bellhop.db'}"
    overtaken = 0
    with closing(Database(url, [encryption_key])) as database:
        with database.writing_connection() as connection:
            connection.execute(text("CREATE TABLE counts AS SELECT 0 AS written"))
        with running(BUSY_WRITER, url, encryption_key):
            for _ in range(WRITES):
                before = written(database)
                with database.writing_connection() as connection:
                    statement = text("UPDATE counts SET written = written RETURNING written")
                    overtaken += connection.execute(statement).scalar_one() - before

    # Each time the current write, and one earlier in the queue.
    assert overtaken <= 2 * WRITES


def written(database: Database) -> int:
    with database.reading_connection() as connection:
        return int(connection.execute(text("SELECT written FROM counts")).scalar_one())


def test_waiting_has_an_end(tmp_path: Path) -> None:
    holder, waiting = lock_of(tmp_path), lock_of(tmp_path)
    with closing(holder), closing(waiting):
        with holder, pytest.raises(PoolTimeoutError), waiting:
            pass
        with waiting:
            pass


def test_a_killed_process_leaves_the_line(tmp_path: Path) -> None:
    with (
        running(HOLDER, str(tmp_path / "bellhop.db")) as holder,
        closing(lock_of(tmp_path)) as waiting,
    ):
        with pytest.raises(PoolTimeoutError), waiting:
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with waiting:
            pass


def test_its_files_are_private(tmp_path: Path) -> None:
    with closing(lock_of(tmp_path)) as lock, lock:
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    assert modes == {"bellhop.db-next": 0o600, "bellhop.db-write": 0o600}
