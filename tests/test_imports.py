"""Imports between packages: only in the allowed direction."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bolt_app"
SANDBOX = ROOT / "slack_sandbox"

# A module may import its own package, and any package of a layer above in this list.
LAYERS: Sequence[set[str]] = [
    {
        "batching",
        "charsets",
        "client_address",
        "clock",
        "cookies",
        "cores",
        "delays",
        "derived_keys",
        "private_files",
        "severity",
        "slack_ids",
        "slack_threads",
        "template_runner",
        "text_forms",
        "thread_limit",
    },
    {
        "blockkit",
        "config",
        "connections",
        "fair_limit",
        "guesses",
        "http_loop",
        "logs",
        "manifest",
        "recent_answers",
        "signals",
        "sliding_limit",
    },
    {"recipients"},
    {"db", "slack_api", "slack_user"},
    {"credentials"},
    {"installations"},
    {"workspaces"},
    {"access"},
    {"profiles", "notifications"},
    {"senders"},
    {"readiness"},
    {"lifecycle"},
    {"services"},
    {"worker", "health_server"},
    {"slack", "web", "cli"},
    {"application", "server"},
    {"__main__"},
    {"__init__"},
]
# The same inside `notifications`.
NOTIFICATIONS: Sequence[set[str]] = [
    {"content"},
    {"queue"},
    {"files", "subscriptions", "incidents"},
    {"digests"},
    {"intake", "delivery"},
    {"history", "messages"},
    {"__init__"},
]
# Without I/O, clock, threads and database: they import the standard library and one another.
PURE = ("lanes", "pacing", "scheduler", "turn_order", "turns", "work", "workspace")
DELIVERY = "bolt_app.notifications.delivery"
STANDARD = {"__future__", "bisect", "collections", "dataclasses", "enum", "heapq", "itertools"}
STANDARD |= {"collections.abc", "typing", "weakref"}


@cache
def imported_modules(path: Path) -> Sequence[str]:
    """Return the modules that a module imports, and the names it imports from them."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return found


def name_below(package: str, module: str) -> str | None:
    """Return the name directly below a package in an import; None if it is elsewhere."""
    if not module.startswith(f"{package}."):
        return None
    return module.removeprefix(f"{package}.").split(".")[0]


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def name_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").parts[0]


def check_direction(path: Path, folder: Path, package: str, layers: Sequence[set[str]]) -> None:
    name = name_of(path, folder)
    layer = {member: number for number, members in enumerate(layers) for member in members}
    for module in imported_modules(path):
        imported = name_below(package, module)
        if imported in layer and imported != name:
            assert layer[imported] < layer[name], f"{name} may not import {module}"


@pytest.mark.parametrize(
    ("folder", "layers"),
    [(PACKAGE, LAYERS), (PACKAGE / "notifications", NOTIFICATIONS)],
    ids=["bolt_app", "notifications"],
)
def test_every_package_has_a_layer(folder: Path, layers: Sequence[set[str]]) -> None:
    assert {name_of(path, folder) for path in modules(folder)} == set().union(*layers)


def test_imports_point_one_way(subtests: pytest.Subtests) -> None:
    for path in modules(PACKAGE):
        with subtests.test(path=str(path)):
            check_direction(path, PACKAGE, "bolt_app", LAYERS)


def test_imports_inside_notifications_point_one_way(subtests: pytest.Subtests) -> None:
    folder = PACKAGE / "notifications"
    for path in modules(folder):
        with subtests.test(path=str(path)):
            check_direction(path, folder, "bolt_app.notifications", NOTIFICATIONS)


def test_the_app_and_the_sandbox_do_not_know_each_other() -> None:
    for path in modules(PACKAGE):
        assert not any(module.startswith("slack_sandbox") for module in imported_modules(path)), (
            path
        )
    for path in modules(SANDBOX):
        assert not any(module.startswith("bolt_app") for module in imported_modules(path)), path


@pytest.mark.parametrize("name", PURE)
def test_the_scheduler_is_pure(name: str) -> None:
    path = PACKAGE / "notifications" / "delivery" / f"{name}.py"
    allowed = STANDARD | {f"{DELIVERY}.{other}" for other in PURE}
    allowed.add("bolt_app.notifications.queue.rank")

    for module in imported_modules(path):
        assert module in allowed or module.rpartition(".")[0] in allowed


def test_no_private_name_of_another_module_is_imported(subtests: pytest.Subtests) -> None:
    for path in [*modules(PACKAGE), *modules(SANDBOX)]:
        with subtests.test(path=str(path)):
            for module in imported_modules(path):
                name = module.rpartition(".")[2]
                assert not name.startswith("_") or name.startswith("__"), module
