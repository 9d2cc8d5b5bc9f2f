"""The generator of parts of docs/architecture.md: run `python -m tests.architecture`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from tests.sources import parsed
from tests.test_imports import (
    LAYERS,
    NOTIFICATIONS,
    PACKAGE,
    ROOT,
    imported_modules,
    modules,
    name_below,
    name_of,
)

PAGE = ROOT / "docs" / "architecture.md"
# Omits the small base modules that nearly every package imports.
_HIDDEN = set().union(*LAYERS[:3]) - {"blockkit", "config"} | {"__init__", "__main__"}


def arrows(folder: Path, package: str, hidden: set[str]) -> set[tuple[str, str]]:
    """Return the imports between the packages of a folder, as (importing, imported)."""
    found = set()
    for path in modules(folder):
        name = name_of(path, folder)
        for module in imported_modules(path):
            imported = name_below(package, module)
            if imported is not None and imported != name:
                found.add((name, imported))
    return {arrow for arrow in found if not hidden & set(arrow)}


def picture(folder: Path, package: str, layers: Sequence[set[str]], hidden: set[str]) -> str:
    """Return a Mermaid graph of packages; an arrow that longer paths imply is left out."""
    edges = arrows(folder, package, hidden)
    direct = {edge for edge in edges if not _is_implied(edge, edges)}
    rank = {name: number for number, names in enumerate(layers) for name in names}
    lines = [
        f"    {source} --> {target}"
        for source, target in sorted(direct, key=lambda edge: (-rank[edge[0]], edge))
    ]
    return "\n".join(["```mermaid", "graph TD", *lines, "```"])


def _is_implied(edge: tuple[str, str], edges: set[tuple[str, str]]) -> bool:
    reached, waiting = set(), [target for source, target in edges - {edge} if source == edge[0]]
    while waiting:
        name = waiting.pop()
        if name == edge[1]:
            return True
        if name not in reached:
            reached.add(name)
            waiting += [target for source, target in edges if source == name]
    return False


def contents() -> str:
    """Return a table of packages and modules with the first sentences of their docstrings."""
    lines = ["| module | purpose |", "| --- | --- |"]
    for path in modules(PACKAGE):
        if "versions" in path.parts:
            continue
        docstring = ast.get_docstring(parsed(path)) or ""
        purpose = " ".join(docstring.split("\n\n")[0].split())
        if purpose:
            name = str(path.relative_to(PACKAGE)).removesuffix("/__init__.py")
            lines.append(f"| `{name}` | {purpose.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def page() -> str:
    """Return the page with its generated parts up to date."""
    text = PAGE.read_text(encoding="utf-8")
    parts = {
        "packages": picture(PACKAGE, "bolt_app", LAYERS, _HIDDEN),
        "notifications": picture(
            PACKAGE / "notifications", "bolt_app.notifications", NOTIFICATIONS, {"__init__"}
        ),
        "modules": contents(),
    }
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{part}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
