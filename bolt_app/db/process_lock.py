"""A fair queue of writing processes for SQLite.

SQLite has none: a writer that finds the database locked sleeps for up to 100 ms and tries again
(https://www.sqlite.org/c3ref/busy_timeout.html), while others overtake it. Beside another busy
process, one commit in a hundred took more than a tenth of a second. This lock only orders waiting
writers; SQLite's lock still excludes them from each other.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bolt_app.private_files import FILE_MODE

RETRY_SECONDS = 0.0002


class ProcessLock:
    """A context manager that excludes other processes; callers exclude threads of this process.

    It locks two files (https://man7.org/linux/man-pages/man2/flock.2.html), which the system
    unlocks when a process ends. The next process holds the first file while it waits for the
    second, so that a process which writes continuously cannot overtake it.

    Args:
        database: the database file; the lock files are beside it.
        timeout: the longest wait in seconds.

    Raises:
        sqlalchemy.exc.TimeoutError: on entering, if another process wrote for longer.
    """

    def __init__(self, database: Path, *, timeout: float) -> None:
        self._paths = [database.with_name(f"{database.name}-{name}") for name in ("next", "write")]
        self._timeout = timeout
        self._files: tuple[int, int] | None = None

    def __enter__(self) -> None:
        ends = time.monotonic() + self._timeout
        self._files = self._files or self._open()
        if self._files is None:
            return
        following, writing = self._files
        _lock(following, ends)
        try:
            _lock(writing, ends)
        finally:
            fcntl.flock(following, fcntl.LOCK_UN)

    def __exit__(self, *_error: object) -> None:
        if self._files is not None:
            fcntl.flock(self._files[1], fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files; entering opens them again."""
        for file in self._files or ():
            os.close(file)
        self._files = None

    def _open(self) -> tuple[int, int] | None:
        """Open the files; None if that fails, because SQLite then reports the reason."""
        opened: list[int] = []
        try:
            for path in self._paths:
                opened.append(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
        except OSError:
            for file in opened:
                os.close(file)
            return None
        return opened[0], opened[1]


def _lock(file: int, ends: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise PoolTimeoutError(
                    "another process has kept the database for too long"
                ) from None
            time.sleep(RETRY_SECONDS)
        else:
            return
