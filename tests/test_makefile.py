"""The Makefile: its targets report their work."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bolt_app.config import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_an_installation_of_libraries_is_announced() -> None:
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", ".venv/ready"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    announced, installed = planned.index("about a minute"), planned.index("pip install")
    assert announced < installed
