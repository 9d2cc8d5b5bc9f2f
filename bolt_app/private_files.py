"""Files and folders that only their owner can access, whatever the umask."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SharedFolderError(OSError):
    """A folder is shared by all users of the machine, such as /tmp."""


def is_shared_folder(path: Path) -> bool:
    """Whether every user of the machine can create files in a folder."""
    return bool(path.stat().st_mode & stat.S_IWOTH)


def make_private_folder(path: Path) -> None:
    """Create a folder if it is missing, and restrict it and its files to the owner.

    Raises:
        SharedFolderError: it is shared by all users, or another user's folder in a shared one.
        OSError: it cannot be created.
    """
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    found = path.stat()
    is_foreign = found.st_uid != os.geteuid() and is_shared_folder(path.parent)
    if found.st_mode & stat.S_ISVTX or is_foreign:
        raise SharedFolderError(f"{path} is shared by all users")
    take_from_others(path)
    for entry in path.iterdir():
        if entry.is_file() and not entry.is_symlink():
            take_from_others(entry)


def make_private_file(path: Path) -> None:
    """Create an empty file if it is missing, and restrict it to the owner.

    Raises:
        OSError: it cannot be created.
    """
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE))
    take_from_others(path)


def take_from_others(path: Path) -> None:
    """Restrict an existing file or folder to its owner; log a warning if that fails."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)
    except FileNotFoundError:
        # Another starting process removed its draft, or SQLite its log.
        return
    except OSError as error:
        logger.warning(
            "other users of this machine can read %s: run chmod go-rwx on it (%s)",
            path,
            error.strerror,
        )
