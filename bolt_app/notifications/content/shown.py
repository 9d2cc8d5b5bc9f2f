"""The part of a notification's content that a page shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Several times the size of the largest message that Slack shows.
MOST_CHARACTERS = 100_000
# The cost of a value that is not a text, in characters.
_SHARE = 20
_MOST_DEPTH = 60


def shown_content(
    content: Mapping[str, Any], most: int = MOST_CHARACTERS
) -> tuple[dict[str, Any], bool]:
    """Return the beginning of a content, and whether it was cut.

    Args:
        content: as `Content` has it, without default members.
        most: characters; each object, list and number counts as `_SHARE`.
    """
    budget = _Budget(most)
    shown = budget.taken(dict(content), 0)
    return shown if isinstance(shown, dict) else {}, budget.is_exceeded


class _Budget:
    def __init__(self, most: int) -> None:
        self._left = most
        self.is_exceeded = False

    def taken(self, value: Any, depth: int) -> Any:
        """Return the part of a value that fits, or None."""
        if self._left <= 0 or depth > _MOST_DEPTH:
            self.is_exceeded = True
            return None
        if isinstance(value, str):
            taken = value[: self._left]
            self.is_exceeded = self.is_exceeded or len(taken) < len(value)
            self._left -= len(value) + 1
            return taken
        self._left -= _SHARE
        if isinstance(value, dict):
            return self._items(value, depth)
        return self._list(value, depth) if isinstance(value, list) else value

    def _items(self, value: Mapping[str, Any], depth: int) -> dict[str, Any]:
        items = {}
        for name, item in value.items():
            taken = self.taken(item, depth + 1)
            if taken is not None:
                items[name] = taken
            elif self._left <= 0:
                break
        return items

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        items = []
        for item in value:
            taken = self.taken(item, depth + 1)
            if taken is not None:
                items.append(taken)
            elif self._left <= 0:
                break
        return items
