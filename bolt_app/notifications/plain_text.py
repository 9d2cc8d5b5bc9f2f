"""Plain text, made short."""

from __future__ import annotations


def cut(text: str, length: int) -> str:
    """Return `text`, with an ellipsis for what is beyond `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return a number with its regular noun, in the singular for one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
