"""Plain text, made short."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, length: int) -> str:
    """Return `text`, with an ellipsis for what is beyond `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return a number with its regular noun, in the singular for one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def first_of(words: Sequence[str], most: int = 20) -> str:
    """Return a list of words for a sentence, the first ones where there are many."""
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most:,} more"
