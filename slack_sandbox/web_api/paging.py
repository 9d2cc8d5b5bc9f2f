"""Cursor paging (https://docs.slack.dev/apis/web-api/pagination)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TypeVar

from slack_sandbox.errors import ApiError

_T = TypeVar("_T")


def page_after(
    items: Sequence[_T], cursor: str, limit: int, key: Callable[[_T], str]
) -> tuple[list[_T], str]:
    """A page of ``items`` and the cursor of the next page, empty at the end.

    A cursor contains the last item, so that pages neither skip nor repeat items when one is added.
    Raises ``invalid_cursor``.
    """
    start = 0
    if cursor:
        last = read_cursor(cursor)
        indexes = [index for index, item in enumerate(items) if key(item) == last]
        if not indexes:
            raise ApiError("invalid_cursor")
        start = indexes[0] + 1
    page = list(items[start : start + limit])
    more = start + limit < len(items)
    return page, make_cursor(key(page[-1])) if more else ""


def make_cursor(key: str) -> str:
    """A cursor that contains the key of the last item."""
    return base64.b64encode(f"next_ts:{key}".encode()).decode()


def read_cursor(cursor: str) -> str:
    """The key in a cursor. Raises ``invalid_cursor``."""
    try:
        text = base64.b64decode(cursor, validate=True).decode()
    except ValueError:
        raise ApiError("invalid_cursor") from None
    marker, _, key = text.partition(":")
    if marker != "next_ts":
        raise ApiError("invalid_cursor")
    return key
