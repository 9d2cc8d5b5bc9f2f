"""A notification in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LENGTH = 100


def headline(content: Mapping[str, Any]) -> str:
    """Return the title, or else the beginning of the text, as plain as it was written."""
    words = " ".join((content.get("title") or content.get("text") or "A notification").split())
    return words if len(words) <= LENGTH else f"{words[: LENGTH - 1]}…"
