"""The wheel: a fresh environment has the migrations, templates and manifest."""

from __future__ import annotations

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
_HOME_PAGE = """
from bolt_app.__main__ import build
print(build().test_client().get("/").get_data(as_text=True))
"""


@pytest.fixture(scope="module")
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


def test_the_package_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    shown = _use(installed, tmp_path, "python", "-c", "import bolt_app; print(bolt_app.__file__)")

    assert shown.startswith(str(installed.parent))


def test_the_command_migrates_and_lists(installed: Path, tmp_path: Path) -> None:
    _use(installed, tmp_path, "bellhop", "db", "upgrade")
    shown = _use(installed, tmp_path, "bellhop", "workspaces")

    assert (tmp_path / "var" / "bellhop.db").exists()
    assert "Traceback" not in shown


def test_the_manifest_is_printed_for_the_address(installed: Path, tmp_path: Path) -> None:
    assert "https://bell.acme.example/slack/events" in _use(
        installed, tmp_path, "bellhop", "manifest"
    )


def test_the_pages_are_rendered(installed: Path, tmp_path: Path) -> None:
    assert "/slack/install" in _use(installed, tmp_path, "python", "-c", _HOME_PAGE)


def test_the_sandbox_is_not_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    looked = _use(
        installed,
        tmp_path,
        "python",
        "-c",
        "import importlib.util as u; print(u.find_spec('slack_sandbox'), u.find_spec('tests'))",
    )

    assert looked.split() == ["None", "None"]
