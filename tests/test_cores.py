"""The number of cores that a process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bolt_app.cores import available_cores


@contextmanager
def on_every_core() -> Iterator[int]:
    """Let this thread use every core, as the tests do not; yield their number."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield len(os.sched_getaffinity(0))
    finally:
        os.sched_setaffinity(0, before)


with on_every_core() as ALL:
    pass


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", ALL),
        ("100000 100000", 1),
        ("150000 100000", min(ALL, 2)),
        ("1000 100000", 1),
        ("6400000 100000", ALL),
        ("nonsense", ALL),
        (None, ALL),
    ],
)
def test_a_quota_is_a_limit(tmp_path: Path, quota: str | None, cores: int) -> None:
    path = tmp_path / "cpu.max"
    if quota is not None:
        path.write_text(f"{quota}\n")

    with on_every_core():
        assert available_cores(path) == cores


def test_an_affinity_mask_is_a_limit(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores(tmp_path / "cpu.max") == 1
    finally:
        os.sched_setaffinity(0, before)
