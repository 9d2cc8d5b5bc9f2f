"""The owner file: a file beside an SQLite database, locked by the process that delivers.

It is never the database file: closing a second descriptor of that would drop SQLite's own locks
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from bolt_app.private_files import make_private_file

# Appended to the database's name.
SUFFIX = "-owner"


def owner_path(database: Path) -> Path:
    """Return the path of the owner file of a database."""
    return database.with_name(f"{database.name}{SUFFIX}")


def last_sign_of_life(path: Path) -> float:
    """Return an owner's last sign of life, in Unix seconds by the machine's clock; 0: never."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


class OwnerFile:
    """One process's descriptor of the file, and the lock on it."""

    def __init__(self, path: Path) -> None:
        """Open the file, creating it if it is missing.

        Raises:
            OSError: it cannot be created.
        """
        make_private_file(path)
        self._path = path
        self._pid = os.getpid()
        self._descriptor = os.open(path, os.O_RDWR)
        self.is_locked = False

    def lock(self) -> bool:
        """Try to lock the file; return whether this process holds the lock now.

        The kernel keeps the lock until the process ends, even while it is suspended.
        """
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_locked = True
        return self.is_locked

    def is_valid(self) -> bool:
        """Return whether other processes would lock the same file, and this is not a fork."""
        try:
            here, there = os.fstat(self._descriptor), os.stat(self._path)
        except OSError:
            return False
        return os.path.samestat(here, there) and self._pid == os.getpid()

    def show_life(self) -> None:
        """Set the file's modification time to now, if possible."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def close(self) -> None:
        """Release the lock. In a fork, the parent process keeps it."""
        self.is_locked = False
        os.close(self._descriptor)
