"""An SQLite database on a network file system is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bolt_app.notifications.delivery.errors import OwnershipError
from bolt_app.notifications.delivery.file_systems import refuse_network_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my data"
    made.mkdir()
    return made


def mounts(tmp_path: Path, *lines: str) -> Path:
    """A list of mounts as the kernel writes it."""
    path = tmp_path / "mounts"
    path.write_text("".join(f"{line} rw,relatime 0 0\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph"]
)
def test_network_file_systems_are_refused(tmp_path: Path, folder: Path, kind: str) -> None:
    point = str(folder).replace(" ", "\\040")
    listed = mounts(tmp_path, "/dev/sda1 / ext4", f"server:/data {point} {kind}")

    with pytest.raises(OwnershipError) as refused:
        refuse_network_folder(folder, listed)

    assert f"{folder} is on a file system of the type {kind}" in str(refused.value)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs"])
def test_local_disks_are_accepted(tmp_path: Path, folder: Path, kind: str) -> None:
    listed = mounts(tmp_path, "server:/ / nfs", f"/dev/sda1 {tmp_path} {kind}")

    refuse_network_folder(folder, listed)


def test_a_mount_beside_the_folder_does_not_matter(tmp_path: Path, folder: Path) -> None:
    refuse_network_folder(folder, mounts(tmp_path, "/dev/sda1 / ext4", f"s:/ {tmp_path}/my nfs"))


def test_of_two_mounts_at_one_path_the_later_counts(tmp_path: Path, folder: Path) -> None:
    lines = (f"/dev/sda1 {tmp_path} ext4", f"server:/ {tmp_path} nfs4")

    with pytest.raises(OwnershipError):
        refuse_network_folder(folder, mounts(tmp_path, *lines))
    refuse_network_folder(folder, mounts(tmp_path, *reversed(lines)))


def test_a_link_does_not_hide_the_file_system(tmp_path: Path, folder: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    point = str(folder).replace(" ", "\\040")

    with pytest.raises(OwnershipError):
        refuse_network_folder(link, mounts(tmp_path, "/dev/sda1 / ext4", f"s:/ {point} nfs"))


def test_nothing_is_refused_without_a_list_of_mounts(tmp_path: Path, folder: Path) -> None:
    refuse_network_folder(folder, tmp_path / "no mounts")
