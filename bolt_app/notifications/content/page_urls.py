"""URLs of notification pages."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bolt_app.notifications.content.ids import ID_PATTERN

PAGES_PATH = "/notifications"
_ID = re.compile(ID_PATTERN)


def is_notification_id(value: str) -> bool:
    """Whether `value` has the form of a notification's id."""
    return _ID.fullmatch(value) is not None


def notification_of(url: str, public_url: str) -> str | None:
    """Return the id of the notification whose page a URL is, or None for another URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    folder, _, id_ = parts.path.removesuffix("/").rpartition("/")
    is_page = parts.netloc.lower() == urlsplit(public_url).netloc and folder == PAGES_PATH
    return id_ if is_page and is_notification_id(id_) else None


def page_url(public_url: str, notification_id: str) -> str:
    """Return the URL of a notification's page."""
    return f"{public_url}{PAGES_PATH}/{notification_id}"
