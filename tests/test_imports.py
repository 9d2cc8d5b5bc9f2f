"""Which room may know which: imports point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bolt_app"

# A module may import its own layer's siblings only where they stand in one package, and any
# layer above it in this list.
LAYERS: list[set[str]] = [
    {
        "blockkit",
        "charsets",
        "client_address",
        "clock",
        "cores",
        "delays",
        "private_files",
        "text_forms",
    },
    {"config", "connections", "guesses", "http_loop", "logs", "manifest", "news"},
    {"db", "slack_api", "user_facts"},
    {"oauth", "credentials"},
    {"access"},
    {"profiles", "notifications"},
    {"lifecycle", "personal_data", "readiness"},
    {"installation_checks"},
    {"services"},
    {"delivery", "health_server"},
    {"slack", "web", "cli"},
    {"application", "server"},
    {"__init__"},
]
SANDBOX = "sandbox"


def layer_of(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module == "bolt_app":
                names = [f"bolt_app.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "bolt_app":
                yield parts[1] if len(parts) > 1 else "__init__"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


# Without I/O, clock, threads and database: they import the standard library and one another.
PURE = ("lanes", "order", "pacing", "scheduler", "turns", "work", "workspace")
DELIVERY = "bolt_app.notifications.delivery"
STANDARD = {"__future__", "bisect", "collections", "dataclasses", "enum", "heapq", "itertools"}
STANDARD |= {"collections.abc", "typing"}


@pytest.mark.parametrize("name", PURE)
def test_the_scheduler_is_pure(name: str) -> None:
    path = PACKAGE / "notifications" / "delivery" / f"{name}.py"
    allowed = STANDARD | {f"{DELIVERY}.{other}" for other in PURE}

    assert imported_modules(path) <= allowed


def imported_modules(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = set()
    for node in tree:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_every_room_has_a_layer() -> None:
    rooms = {room_of(path) for path in modules()}

    assert rooms - {SANDBOX} == set().union(*LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    for imported in imported_rooms(path):
        if room == SANDBOX:
            assert imported == SANDBOX, f"the sandbox knows {imported}"
            continue
        assert imported != SANDBOX, f"{room} knows the sandbox"
        assert imported == room or layer_of(imported) < layer_of(room), (
            f"{room} may not import {imported}"
        )
