"""Plain text, made short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINE_LENGTH = 100


def cut(text: str, length: int) -> str:
    """Return `text`, with an ellipsis for what is beyond `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def headline(content: Mapping[str, Any]) -> str:
    """Return a notification in one line: its title, or else the beginning of its text."""
    words = " ".join((content.get("title") or content.get("text") or "A notification").split())
    return cut(words, HEADLINE_LENGTH)
