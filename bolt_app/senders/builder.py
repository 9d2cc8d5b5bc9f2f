"""Builder of notifications from a sender's texts, which are shortened, escaped and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bolt_app.blockkit import mrkdwn
from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.schema import FIELDS, KEY_LENGTH, IncidentAction, Url
from bolt_app.senders.known import Notification
from bolt_app.severity import Severity
from bolt_app.text_forms import has_visible

TITLE_LENGTH, NAME_LENGTH, VALUE_LENGTH = 250, 200, 1500
# Such a table has fewer characters than Slack accepts.
TABLE_ROWS, TABLE_COLUMNS, CELL_LENGTH = 21, 4, 100
# Slack collapses longer texts.
TEXT_LENGTH = 2800
_URL: TypeAdapter[Any] = TypeAdapter(Url)


def notification(
    title: str,
    text: str = "",
    *,
    severity: Severity | None = None,
    link: str = "",
    fields: Iterable[tuple[str, str]] = (),
    rows: Sequence[Sequence[str]] = (),
    key: str = "",
    asks: bool = False,
) -> Notification:
    """Return a notification without empty members.

    Args:
        title: plain text; "Notification" if title and text are empty.
        text: mrkdwn; texts of the sender are escaped with `plain` and `link_to`.
        link: ignored unless it is an http(s) URL.
        fields: names and values; fields without a value are omitted.
        rows: a table of plain texts, the first row with the names of its columns; none without
            another row.
        key: of the subject; if it is too long, its hash is used.
        asks: whether it opens an incident; the next notification with the key that does not ask
            closes it.
    """
    found: dict[str, Any] = {
        "title": cut(" ".join(title.split()), TITLE_LENGTH),
        "text": cut_mrkdwn(text, TEXT_LENGTH),
        "severity": severity,
        "link": link if is_url(link) else "",
        "fields": [
            {"name": cut(name, NAME_LENGTH), "value": cut(value, VALUE_LENGTH)}
            for name, value in fields
            if has_visible(name) and value.strip()
        ][:FIELDS],
        "rows": _table(rows) if len(rows) > 1 else [],
        "key": short_key(key),
        "actions": list(IncidentAction) if asks and key.strip() else [],
    }
    if not has_visible(found["title"]) and not found["text"]:
        found["title"] = "Notification"
    return {name: value for name, value in found.items() if value}


def _table(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return a table cut to the size that is accepted."""
    return [[cut(cell, CELL_LENGTH) for cell in row[:TABLE_COLUMNS]] for row in rows[:TABLE_ROWS]]


def plain(value: str, most: int = 1500) -> str:
    """Return a sender's text as mrkdwn without links and mentions."""
    return mrkdwn.escape(cut(value.strip(), most))


def link_to(url: str, label: str, most: int = 200) -> str:
    """Return a link in mrkdwn; only the label if the URL is invalid."""
    shown = cut(" ".join(label.split()), most)
    return mrkdwn.link(url, shown) if is_url(url) else mrkdwn.escape(shown)


def lines(given: Iterable[str]) -> str:
    """Join the texts that are not empty, one per line."""
    return "\n".join(one for one in given if one)


def more(shown: int, there_are: int, noun: str) -> str:
    """Return the number of items that are not shown, or an empty text."""
    return f"… and {there_are - shown:,} more {noun}" if there_are > shown else ""


def cut_mrkdwn(value: str, most: int) -> str:
    """Truncate mrkdwn without splitting a link or an escaped character."""
    pieces: Sequence[str] = mrkdwn.split(value.strip(), most - 1) if len(value) > most else [value]
    return pieces[0].strip() if len(pieces) == 1 else f"{pieces[0].rstrip()}…"


def key_of(*parts: str, by: str = ":") -> str:
    """Return a key of several parts; empty if one is missing, so that subjects share none."""
    return by.join(parts) if all(parts) else ""


def short_key(key: str) -> str:
    """Return a key of an accepted length; equal keys stay equal."""
    key = key.strip()
    if len(key) <= KEY_LENGTH:
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"


def is_url(value: str) -> bool:
    """Whether a text is a valid link of a notification."""
    try:
        _URL.validate_python(value)
    except ValidationError:
        return False
    return True
