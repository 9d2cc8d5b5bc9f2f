"""What the documentation says of senders: tables and lines that follow from the example bodies."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bolt_app.credentials.webhooks import CUSTOM
from bolt_app.notifications.content.meaning import (
    fields_of,
    link_of,
    severity_of,
    title_of,
    with_meaning,
)
from bolt_app.senders.registry import known_senders
from bolt_app.severity import SEVERITIES
from tests.senders.fixtures import ORIGINS, fixtures

DOCS = Path(__file__).parent.parent.parent / "docs" / "senders"
PAGE = DOCS / "README.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
EXAMPLES = "[Example bodies](README.md): "
WIDTH = 120
HEAD = (
    "| `--from` | example bodies | parts | severity | key | buttons | resolves | signature |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


def contents(sender: str) -> list[dict[str, Any]]:
    """Return the contents of a sender's example bodies, with their derived meaning."""
    return [with_meaning(one) for each in fixtures(sender) for one in each.notifications]


def parts_of(found: list[dict[str, Any]]) -> str:
    parts = {
        "title": any(map(title_of, found)),
        "text": any(one.get("text") for one in found),
        "link": any(map(link_of, found)),
        "fields": any(map(fields_of, found)),
        "table": any(one.get("rows") for one in found),
    }
    return ", ".join(name for name, is_there in parts.items() if is_there)


def severities(found: list[dict[str, Any]]) -> str:
    used = {severity_of(one) for one in found} - {None}
    return ", ".join(one for one in SEVERITIES if one in used) or "none"


def ends(found: list[dict[str, Any]]) -> str:
    """Return whether an example body of the sender turns an earlier red message green."""
    bad = {one["key"] for one in found if "key" in one and severity_of(one) in SEVERITIES[2:]}
    good = {one["key"] for one in found if "key" in one and severity_of(one) == "success"}
    return "yes" if bad & good else "no"


def origins(sender: str) -> str:
    """Return the number of a sender's example bodies of each origin."""
    counts = Counter(one.origin.kind for one in fixtures(sender))
    return ", ".join(f"{counts[kind]} {kind}" for kind in ORIGINS if counts[kind])


def row(name: str) -> str:
    sender, found = known_senders()[name], contents(name)
    cells = [
        f"[{name}]({name}.md)",
        origins(name),
        parts_of(found),
        severities(found),
        "yes" if any("key" in one for one in found) else "no",
        "yes" if any(one.get("actions") for one in found) else "no",
        ends(found),
        f"`{sender.signature.name}`" if sender.signature else "no",
    ]
    return f"| {' | '.join(cells)} |\n"


def sources(name: str) -> str:
    """Return the last line of a sender's page: its example bodies and where they come from."""
    found: dict[str, list[str]] = {kind: [] for kind in ORIGINS}
    for one in fixtures(name):
        found[one.origin.kind].append(one.origin.source)
    parts = [
        f"{len(used)} {kind} ({'; '.join(map(link, dict.fromkeys(used)))})"
        for kind, used in found.items()
        if used
    ]
    # A URL is never broken.
    wrap = partial(textwrap.fill, width=WIDTH, break_long_words=False, break_on_hyphens=False)
    return wrap(f"{EXAMPLES}{', '.join(parts)}.") + "\n"


def link(source: str) -> str:
    if source.startswith("https://"):
        return f"<{source}>"
    return "this page" if source.startswith("docs/") else source


def matrix() -> str:
    return HEAD + "".join(row(name) for name in known_senders())


def test_the_table_follows_from_the_example_bodies() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    expected = f"{before}{BEGIN}{matrix()}{END}{after}"
    if os.environ.get("WRITE_MATRIX") == "1":
        PAGE.write_text(expected, encoding="utf-8")

    assert page == expected, "WRITE_MATRIX=1 writes it"


@pytest.mark.parametrize("name", known_senders())
def test_a_page_ends_with_the_sources_of_its_example_bodies(name: str) -> None:
    path = DOCS / f"{name}.md"
    page = path.read_text(encoding="utf-8")
    expected = f"{page.partition(EXAMPLES)[0].rstrip()}\n\n{sources(name)}"
    if os.environ.get("WRITE_MATRIX") == "1":
        path.write_text(expected, encoding="utf-8")

    assert page == expected, "WRITE_MATRIX=1 writes it"


def test_severities_are_in_the_order_that_the_matrix_takes() -> None:
    assert SEVERITIES[2:] == ("warning", "error", "critical")


@pytest.mark.parametrize("name", known_senders())
def test_every_sender_has_a_page_that_says_what_to_paste(name: str) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")

    assert known_senders()[name].title in page
    assert f"--from {name}" in page


def pages() -> Iterator[Path]:
    yield from DOCS.glob("*.md")


def test_there_is_no_page_of_an_unknown_sender() -> None:
    assert {one.stem for one in pages()} - {"README", CUSTOM} == set(known_senders())
