"""File systems with reliable `flock` locks.

On a network file system two machines may get the same lock, or lose it without notice; SQLite's own
locks are as unreliable there (https://www.sqlite.org/useovernet.html).
"""

from __future__ import annotations

from pathlib import Path

from bolt_app.notifications.delivery.errors import OwnershipError

MOUNTS = Path("/proc/self/mounts")
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gpfs", "lustre", "ncpfs", "nfs"}
_NETWORK |= {"nfs4", "ocfs2", "gfs2", "pvfs2", "smb3", "smbfs"}


def refuse_network_folder(folder: Path, mounts: Path = MOUNTS) -> None:
    """Check that a folder is on a local disk.

    Args:
        mounts: the kernel's list of mounts (https://man7.org/linux/man-pages/man5/proc.5.html);
            if it is missing, as outside Linux, every folder passes.

    Raises:
        OwnershipError: it is on a network file system.
    """
    kind = _file_system(folder.resolve(), mounts)
    if kind in _NETWORK or kind.startswith("fuse."):
        raise OwnershipError(
            f"{folder} is on a file system of the type {kind}, where file locks are not reliable: "
            "keep the SQLite database on a local disk, or use PostgreSQL."
        )


def _file_system(folder: Path, mounts: Path) -> str:
    """Return the type of the file system with the longest mount point above the folder."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    found, depth = "", 0
    for line in lines:
        _device, point, kind, *_ = line.split(" ")
        path = Path(_unescaped(point))
        # Of two mounts at one mount point, the later is visible.
        if folder.is_relative_to(path) and len(path.parts) >= depth:
            found, depth = kind, len(path.parts)
    return found


def _unescaped(point: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, character)
    return point
