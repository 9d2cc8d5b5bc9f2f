"""docs/architecture.md matches the packages and modules."""

from __future__ import annotations

from tests.architecture import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_part_is_generated() -> None:
    text = page()

    assert text.count("```mermaid") >= 2
    assert "| `notifications/delivery/scheduler.py` |" in text
