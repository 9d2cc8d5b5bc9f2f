"""The address of a notification's page."""

from __future__ import annotations

import re

PAGES_PATH = "/notifications"
_ID = re.compile(r"[0-9a-f]{32}")


def is_notification_id(value: str) -> bool:
    """Whether `value` has the form of a notification's id."""
    return _ID.fullmatch(value) is not None


def page_url(public_url: str, notification_id: str) -> str:
    """Return the address of a notification's page."""
    return f"{public_url}{PAGES_PATH}/{notification_id}"
