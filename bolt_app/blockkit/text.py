"""Shortening of plain text."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, length: int) -> str:
    """Truncate `text` to `length` characters, with an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return a number with a regular noun, singular for one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def first_of(words: Sequence[str], most: int = 20) -> str:
    """Join words for a sentence; of many only the first."""
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most:,} more"
