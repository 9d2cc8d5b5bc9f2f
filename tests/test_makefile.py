"""The Makefile: its targets report their work."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bolt_app.config import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


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


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_a_second_demo_leaves_the_data_of_the_first(tmp_path: Path, name: str) -> None:
    data = tmp_path / "var" / "demo" / "bellhop.db"
    for path in (data, tmp_path / ".venv" / "ready"):
        path.parent.mkdir(parents=True)
        path.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"PORT": "0", "SANDBOX_PORT": "0", name: str(port)}
        made = subprocess.run(  # noqa: S603
            [
                *("make", "--file", str(ROOT / "Makefile"), "--old-file", ".venv/ready", "demo"),
                f"BIN={Path(sys.executable).parent}",
                *(f"{key}={value}" for key, value in ports.items()),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert made.returncode != 0
    assert f"Port {port} is in use by another program: stop it, or set {name}." in made.stderr
    assert data.exists()
