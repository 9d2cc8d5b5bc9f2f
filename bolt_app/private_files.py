"""Files and folders that only their owner can access, whatever the umask."""

from __future__ import annotations

import logging
import os
import stat
from itertools import pairwise
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SharedFolderError(OSError):
    """A folder or one of its parents is shared by all users of the machine, such as /tmp."""


def is_shared_folder(path: Path) -> bool:
    """Whether every user of the machine can create files in a folder."""
    return bool(path.stat().st_mode & stat.S_IWOTH)


def find_shared_parent(path: Path) -> Path | None:
    """Return the nearest parent in which every user of the machine can replace what `path` names.

    In a sticky folder they can replace only what is theirs. Groups that may write in a parent are
    trusted, like its owner: the operator has chosen them.

    Raises:
        OSError: a parent cannot be looked at.
    """
    trusted = {0, os.geteuid()}
    for one in (path.absolute(), path.resolve()):
        for child, folder in pairwise([one, *one.parents]):
            is_sticky = folder.stat().st_mode & stat.S_ISVTX
            is_theirs = child.lstat().st_uid not in trusted
            if is_shared_folder(folder) and (is_theirs or not is_sticky):
                return folder
    return None


def make_private_folder(path: Path) -> None:
    """Create a folder if it is missing, and restrict it and its files to the owner.

    Raises:
        SharedFolderError: all users share it, or a parent in which they can replace it.
        OSError: it cannot be created.
    """
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    is_sticky = path.stat().st_mode & stat.S_ISVTX
    shared = path if is_sticky else find_shared_parent(path)
    if shared is not None:
        raise SharedFolderError(f"all users of this machine share {shared}")
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
