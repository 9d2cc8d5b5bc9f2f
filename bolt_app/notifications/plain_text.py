"""Plain text, made short."""

from __future__ import annotations


def cut(text: str, length: int) -> str:
    """Return `text`, with an ellipsis for what is beyond `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
