"""Links, paths and names of tests in the documents exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
# Documents name files relative to these folders.
FOLDERS = [
    ROOT / name
    for name in (
        ".",
        "bolt_app",
        "bolt_app/notifications/delivery",
        "docs",
        "tests",
        "tests/faults",
    )
]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SUFFIXES = "py|md|yml|html|js|css|sh|conf|toml|txt|lock"
# A file with a suffix or a folder of at least two parts, and the name of a test after `::`.
_PATH = re.compile(rf"`([\w./-]+\.(?:{_SUFFIXES})|[\w.-]+/[\w./-]+/)((?:::\w+)*)`")


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_heading(document: Path) -> None:
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_test_exists(document: Path) -> None:
    for path, names in _PATH.findall(document.read_text(encoding="utf-8")):
        found = [folder / path for folder in FOLDERS if (folder / path).exists()]
        assert found, path
        for name in names.split("::")[1:]:
            source = found[0].read_text(encoding="utf-8")
            assert re.search(rf"^ *(?:def|class) {name}\b", source, re.MULTILINE), path + names
