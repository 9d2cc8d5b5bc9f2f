"""Files and folders that only their owner can access, whatever the umask."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER_MODE, FILE_MODE = 0o700, 0o600
# As on Linux (https://man7.org/linux/man-pages/man7/path_resolution.7.html).
MOST_LINKS = 40
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SharedFolderError(OSError):
    """A folder or one of its parents is shared by all users of the machine, such as /tmp."""


def is_shared_folder(path: Path) -> bool:
    """Whether every user of the machine can create files in a folder."""
    return bool(path.stat().st_mode & stat.S_IWOTH)


def find_shared_parent(path: Path) -> Path | None:
    """Return the nearest parent in which every user of the machine can replace what `path` names.

    The parents of each link on the way count, too. In a sticky folder users can replace only what
    is theirs. Groups that may write in a parent are trusted, like its owner: the operator has
    chosen them.

    Raises:
        OSError: a parent cannot be looked at, or there are too many links.
    """
    trusted = {0, os.geteuid()}
    shared, links = None, 0
    folder, parts = Path("/"), list(path.absolute().parts[1:])
    while parts:
        child = folder / parts.pop(0)
        if child.name == "..":
            folder = folder.parent
            continue
        is_sticky = folder.stat().st_mode & stat.S_ISVTX
        is_theirs = child.lstat().st_uid not in trusted
        if is_shared_folder(folder) and (is_theirs or not is_sticky):
            shared = folder
        if not child.is_symlink():
            folder = child
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = child.readlink()
        if target.is_absolute():
            folder = Path("/")
        parts = [*(part for part in target.parts if part != "/"), *parts]
    return shared


def find_shared_folder(path: Path) -> Path | None:
    """Return a folder in which every user of the machine can create `path` or files beside it.

    Raises:
        OSError: a parent cannot be looked at.
    """
    for folder in (path.parent, path.resolve().parent):
        if is_shared_folder(folder):
            return folder
    return find_shared_parent(path if path.exists() else path.parent)


def make_parent(path: Path) -> None:
    """Create the folder of a file, private, if it is missing.

    Raises:
        OSError: it cannot be created.
    """
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


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
