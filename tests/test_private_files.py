"""Private files: only their owner can access them, whatever the umask."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bolt_app.config import ROOT, ConfigError, load_settings, loading
from bolt_app.db import Database, schema
from bolt_app.private_files import find_shared_parent, take_from_others
from slack_sandbox.__main__ import _append
from tests.sources import parsed
from tests.test_config import CREDENTIALS

# Calls that can create a file or folder, and the modules that make them with a private mode.
CREATING = {"open", "fdopen", "write_text", "write_bytes", "touch", "mkdir", "makedirs", "copy"}
PRIVATE = {
    "private_files.py": {"mkdir", "open"},
    "config/generated_secrets.py": {"open", "fdopen"},
    "db/process_lock.py": {"open"},
    # Opens an existing folder.
    "notifications/delivery/owner_file.py": {"open"},
    "notifications/queue/wakeup.py": {"open"},
}


@pytest.fixture(params=[0o000, 0o022], ids=["umask-000", "umask-022"])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {item.name: oct(stat.S_IMODE(item.stat().st_mode)) for item in folder.iterdir()}


def use_embedded_database(folder: Path) -> dict[str, str]:
    """Start as `python app.py` does; return the modes of all files while it runs."""
    settings = load_settings({**CREDENTIALS, "DATA_DIR": str(folder)})
    database = Database(settings.database_url, settings.encryption_keys)
    schema.upgrade(database)
    try:
        return modes(folder)
    finally:
        database.close()


@pytest.mark.usefixtures("_umask")
def test_the_data_folder_and_all_in_it_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    made = use_embedded_database(folder)

    assert {"bellhop.db", "bellhop.db-wal", "bellhop.db-shm", "encryption_keys"} < made.keys()
    assert set(made.values()) == {"0o600"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.usefixtures("_umask")
def test_files_that_others_could_read_are_taken_from_them_at_start(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    use_embedded_database(folder)
    (folder / "bellhop.db.backup").write_text("x")
    (folder / "tool").write_text("x")
    for path in folder.iterdir():
        path.chmod(0o666)
    (folder / "tool").chmod(0o755)
    folder.chmod(0o777)

    assert use_embedded_database(folder).pop("tool") == "0o700"
    found = modes(folder)
    del found["tool"]
    assert set(found.values()) == {"0o600"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.usefixtures("_umask")
def test_a_database_elsewhere_is_private_and_its_folder_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "other").write_text("x")
    other = modes(tmp_path)["other"]
    database = Database(f"sqlite:///{tmp_path / 'bellhop.db'}", ["x" * 43 + "="])
    schema.upgrade(database)
    found = modes(tmp_path)
    database.close()

    assert found.pop("other") == other
    assert set(found.values()) == {"0o600"}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_that_is_gone_meanwhile_is_no_error(tmp_path: Path) -> None:
    take_from_others(tmp_path / "bellhop.db-wal")

    assert not list(tmp_path.iterdir())


def test_a_shared_folder_is_rejected(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    with pytest.raises(ConfigError, match="all users of this machine share"):
        load_settings({**CREDENTIALS, "DATA_DIR": str(tmp_path)})
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def give_to_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make another user, who is not root, the owner of a folder."""
    uid = os.geteuid()
    if uid == 0:
        os.chown(path, 1, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)


def test_the_folder_of_another_user_is_refused_where_all_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    tmp_path.chmod(0o1777)
    give_to_another_user(folder, monkeypatch)

    with pytest.raises(ConfigError, match="all users of this machine share"):
        load_settings({**CREDENTIALS, "DATA_DIR": str(folder)})


# The mode of a parent of the parent, whether another user owns the folder in it, and whether it is
# refused.
PARENTS = [
    (0o755, False, False),
    (0o775, False, False),
    (0o777, False, True),
    (0o1777, False, False),
    (0o1777, True, True),
]


@pytest.mark.parametrize(("mode", "is_foreign", "is_refused"), PARENTS)
@pytest.mark.parametrize("link", [False, True])
def test_nothing_private_is_kept_where_all_may_replace_a_parent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    is_foreign: bool,
    is_refused: bool,
    link: bool,
) -> None:
    """Nor where a link leads there."""
    shared = tmp_path / "shared"
    folder = shared / "ours" / "bellhop"
    folder.mkdir(parents=True)
    (folder / ".env").write_text("DATA_DIR=elsewhere\n")
    shared.chmod(mode)
    named = tmp_path / "link" if link else folder
    if link:
        named.symlink_to(folder)
    if is_foreign:
        give_to_another_user(shared / "ours", monkeypatch)
    environ = {**CREDENTIALS, "DATA_DIR": str(named / "var")}
    monkeypatch.setattr(loading, "ROOT", named)
    monkeypatch.delenv("FLASK_ENV_FILE", raising=False)

    if not is_refused:
        load_settings(environ)
        assert loading.read_environment()["DATA_DIR"] == "elsewhere"
        return
    with pytest.raises(ConfigError, match=f"all users of this machine share {shared}:"):
        load_settings(environ)
    with pytest.raises(ConfigError, match=f"all users of this machine can write in {shared}:"):
        loading.read_environment()


def test_nothing_private_is_kept_behind_a_link_that_all_may_replace(tmp_path: Path) -> None:
    """Of a link to a link, the second one is in a folder that all users share."""
    shared, real, var = tmp_path / "shared", tmp_path / "real", tmp_path / "var"
    real.mkdir()
    shared.mkdir()
    (shared / "current").symlink_to("../real")
    var.symlink_to(shared / "current")
    environ = {**CREDENTIALS, "DATA_DIR": str(var)}

    load_settings(environ)

    shared.chmod(0o777)
    with pytest.raises(ConfigError, match=f"all users of this machine share {shared}:"):
        load_settings(environ)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "var").symlink_to(tmp_path / "var")

    with pytest.raises(OSError, match="symbolic links"):
        find_shared_parent(tmp_path / "var" / "x")


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777], ids=oct)
@pytest.mark.parametrize("name", ["bellhop.db", "new/bellhop.db", "link.db"])
def test_no_database_is_used_that_all_may_replace(tmp_path: Path, mode: int, name: str) -> None:
    """In a sticky folder others can create the files that SQLite reads beside it."""
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    private.mkdir()
    shared.chmod(mode)
    path = shared / name
    if name == "link.db":
        path = private / name
        path.symlink_to(shared / "bellhop.db")
    environ = {
        **CREDENTIALS,
        "DATABASE_URL": f"sqlite:///{path}",
        "ENCRYPTION_KEYS": "x" * 43 + "=",
        "SESSION_SECRET": "s" * 40,
    }

    # A folder in a sticky one belongs to Bellhop.
    if mode == 0o755 or (mode == 0o1777 and "new" in name):
        assert load_settings(environ).database_url == environ["DATABASE_URL"]
        return
    with pytest.raises(ConfigError, match=f"all users of this machine can write in {shared}:"):
        load_settings(environ)


@pytest.mark.parametrize(("mode", "is_read"), [(0o755, True), (0o1777, False)])
def test_settings_that_any_user_may_have_written_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_read: bool
) -> None:
    (tmp_path / ".env").write_text("SLACK_BASE_URL=https://elsewhere.example\n")
    tmp_path.chmod(mode)
    monkeypatch.setattr(loading, "ROOT", tmp_path)
    monkeypatch.delenv("FLASK_ENV_FILE", raising=False)

    if is_read:
        assert loading.read_environment()["SLACK_BASE_URL"] == "https://elsewhere.example"
        return
    with pytest.raises(ConfigError, match="all users of this machine can write"):
        loading.read_environment()
    monkeypatch.setenv("FLASK_ENV_FILE", str(tmp_path / ".env"))
    assert loading.read_environment()["SLACK_BASE_URL"] == "https://elsewhere.example"


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("is_there", [True, False])
def test_the_credentials_of_the_demo_are_private(tmp_path: Path, is_there: bool) -> None:
    path = tmp_path / ".env"
    if is_there:
        path.write_text("A=1\n")
    _append(path, {"B": "2"})

    assert modes(tmp_path) == {".env": "0o600"}
    assert path.read_text().endswith("B=2\n")


def test_nothing_else_creates_files() -> None:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "bolt_app").rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in CREATING and not _opens_something_else(called):
                found.setdefault(str(path.relative_to(ROOT / "bolt_app")), set()).add(name)

    assert found == PRIVATE


def _opens_something_else(called: ast.expr) -> bool:
    """Whether it is a method such as `views.open`, and not a function that opens files."""
    if not isinstance(called, ast.Attribute) or called.attr not in ("open", "copy"):
        return False
    return not (isinstance(called.value, ast.Name) and called.value.id in ("os", "shutil", "path"))
