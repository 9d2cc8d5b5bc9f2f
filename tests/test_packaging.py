"""The wheel: a fresh environment has the migrations, templates and manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from bolt_app.config import ROOT

pytestmark = pytest.mark.slow

_SETTINGS = {
    "SLACK_CLIENT_ID": "1.2",
    "SLACK_CLIENT_SECRET": "s3cret",
    "SLACK_SIGNING_SECRET": "s3cret",
    "PUBLIC_URL": "https://bell.acme.example",
}
# In one process, because importing Bellhop takes longer than all of this.
_SHOW = """
import importlib.util, json
import bolt_app
from bolt_app.__main__ import build, build_commands

def shown(command):
    result = build_commands().test_cli_runner().invoke(args=[command])
    assert result.exit_code == 0, result.output
    return result.output

print(json.dumps({
    "file": bolt_app.__file__,
    "workspaces": shown("workspaces"),
    "manifest": shown("manifest"),
    "home page": build().test_client().get("/").get_data(as_text=True),
    "others": [str(importlib.util.find_spec(name)) for name in ("slack_sandbox", "tests")],
}))
"""


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the programs of an environment with the wheel installed."""
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    environment = folder / "venv"
    venv.create(environment, symlinks=True)
    scheme = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    _run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(environment),
            "install",
            "--no-deps",
            "--quiet",
            "--no-index",
            # Few modules are needed.
            "--no-compile",
            str(wheel),
        ],
        cwd=folder,
    )
    # The libraries are those of the tests; the project's own checkout is not on the path.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def _run(
    command: list[str], *, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=True
    )


def _use(installed: Path, folder: Path, program: str, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], **_SETTINGS}
    return _run([str(installed / program), *arguments], cwd=folder, env=env).stdout


def test_the_wheel_has_what_bellhop_needs_and_no_more(
    installed: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """The command and Python are new interpreters in an environment with the wheel."""
    with subtests.test("the command migrates"):
        _use(installed, tmp_path, "bellhop", "db", "upgrade")
        assert (tmp_path / "var" / "bellhop.db").exists()
    shown = json.loads(_use(installed, tmp_path, "python", "-c", _SHOW))
    with subtests.test("the package is the installed one"):
        assert shown["file"].startswith(str(installed.parent))
    with subtests.test("commands list"):
        assert "Traceback" not in shown["workspaces"]
    with subtests.test("the manifest is printed for the address"):
        assert "https://bell.acme.example/slack/events" in shown["manifest"]
    with subtests.test("pages are rendered"):
        assert "/slack/install" in shown["home page"]
    with subtests.test("the sandbox is not in it"):
        assert shown["others"] == ["None", "None"]
