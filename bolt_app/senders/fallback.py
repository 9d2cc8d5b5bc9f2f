"""Fallback for bodies that no mapping understands: shows their most important values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.meaning import named_severity
from bolt_app.senders.builder import is_url, notification, plain
from bolt_app.senders.known import Notification
from bolt_app.senders.slack.mapping import MEMBERS as SLACK_MEMBERS
from bolt_app.senders.values import text
from bolt_app.text_forms import has_visible

_TITLES = (
    "title",
    "subject",
    "summary",
    "name",
    "alert",
    "alertname",
    "event",
    "event_type",
    "type",
)
_TEXTS = ("message", "text", "description", "body", "content", "msg", "detail", "details", "reason")
_LINKS = ("url", "link", "html_url", "web_url", "href", "permalink", "target_url")
_SEVERITIES = ("severity", "level", "priority", "urgency", "status", "state", "result")
# Parts of names that suggest a secret.
_PRIVATE = ("token", "secret", "password", "passwd", "authorization", "api_key", "apikey", "cookie")
_FIELDS = 12
_DEPTH = 4
_VALUES = 400
# Of each name in the path of a value, which names its field.
_NAME_LENGTH = 100
_RAW_LENGTH = 2000
UNKNOWN_TITLE = "Message in an unknown format"


def readable(body: Any) -> Notification | None:
    """Return a notification of any body; None if it is empty.

    Values whose names suggest a secret are omitted.
    """
    if isinstance(body, str):
        return _raw(body)
    values = dict(_values(body))
    if not values:
        return _without_values(body)
    title, message = _take(values, _TITLES), _take(values, _TEXTS)
    link = next(filter(is_url, _of(values, _LINKS)), "")
    severities = (named_severity(value) for value in _of(values, _SEVERITIES))
    rest = [(name, cut(value, 300)) for name, value in values.items() if value != link]
    return notification(
        title or ("" if message else UNKNOWN_TITLE),
        plain(message),
        severity=next(filter(None, severities), None),
        link=link,
        fields=rest[:_FIELDS],
    )


def _raw(body: str) -> Notification | None:
    if not has_visible(body.replace("\ufffd", "")):
        return None
    return {"text": plain(body, _RAW_LENGTH)}


def _without_values(body: Any) -> Notification | None:
    """Return a notification of the names in a body; None if it has only those of Slack's format."""
    if isinstance(body, list) and body:
        return notification(UNKNOWN_TITLE, "A list without values")
    if not isinstance(body, dict) or body.keys() <= set(SLACK_MEMBERS):
        return None
    names = ", ".join(cut(name, _NAME_LENGTH) for name in list(body)[:_FIELDS])
    return notification(UNKNOWN_TITLE, plain(f"Members without values: {names}"))


def _values(body: Any) -> Iterator[tuple[str, str]]:
    """Yield the first texts and numbers with their paths, those at the top first."""
    level = [("", body)]
    seen = 0
    for _ in range(_DEPTH):
        below: list[tuple[str, Any]] = []
        for path, value in level:
            for name, item in _members(value):
                seen += 1
                if seen > _VALUES:
                    return
                shown_name = cut(name, _NAME_LENGTH)
                where = f"{path}.{shown_name}" if path else shown_name
                if any(word in name.lower() for word in _PRIVATE):
                    continue
                if isinstance(item, Mapping | list):
                    below.append((where, item))
                elif shown := text(item):
                    yield where, shown
        level = below


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield str(number + 1), item
    else:
        yield "value", value


def _take(values: dict[str, str], names: tuple[str, ...]) -> str:
    """Remove and return the value whose name comes first among `names`, nearest to the top."""
    for name in names:
        for path in values:
            if path.rpartition(".")[2].lower() == name:
                return values.pop(path)
    return ""


def _of(values: Mapping[str, str], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield from (one for path, one in values.items() if path.rpartition(".")[2].lower() == name)
