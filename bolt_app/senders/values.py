"""Values of a body of any shape: a value of an unexpected type reads as empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

# The most items of a list that are used.
MOST_ITEMS = 20
_LONGEST_NUMBER = 40
_LATEST = 253_402_300_799  # the end of the year 9999


def get(value: Any, *path: str) -> Any:
    """Return the member at a path of names; None if a member is missing."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def text(value: Any, *path: str) -> str:
    """Return the text, number or boolean at a path as one stripped text."""
    found = get(value, *path)
    if isinstance(found, str):
        return found.strip()
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int | float):
        # Python refuses to write integers of thousands of digits.
        return str(found) if abs(found) < 10**_LONGEST_NUMBER else ""
    return ""


def first(*texts: str) -> str:
    """Return the first text that is not empty."""
    return next(filter(None, texts), "")


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """Return the object at a path."""
    found = get(value, *path)
    return found if isinstance(found, Mapping) else {}


def every_item(value: Any, *path: str) -> Sequence[Any]:
    """Return the list at a path."""
    found = get(value, *path)
    return found if isinstance(found, list) else ()


def items(value: Any, *path: str) -> list[Mapping[str, Any]]:
    """Return the first objects of the list at a path."""
    found = (one for one in every_item(value, *path) if isinstance(one, Mapping))
    return list(islice(found, MOST_ITEMS))


def texts(value: Any, *path: str) -> list[str]:
    """Return the first texts of the list at a path."""
    found = (text(one) for one in every_item(value, *path))
    return list(islice(filter(None, found), MOST_ITEMS))


def pairs(value: Any, *path: str) -> list[tuple[str, str]]:
    """Return the members of the object at a path that are texts or numbers."""
    return list(islice(_pairs(mapping(value, *path)), MOST_ITEMS))


def moment(value: Any, *path: str) -> datetime | None:
    """Return the Unix time in seconds at a path."""
    found = get(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= _LATEST:
        return None
    return datetime.fromtimestamp(found, UTC)


def _pairs(members: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        shown = text(value)
        if name.strip() and shown:
            yield name.strip(), shown
