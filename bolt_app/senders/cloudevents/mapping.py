"""CloudEvents 1.0 over HTTP: structured, batched and binary.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md and
https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/severity.md for the severity.
Events are facts, not states: they have no key unless the webhook's key field is `subject`.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bolt_app.notifications.content.meaning import named_severity
from bolt_app.notifications.content.schema import BATCH
from bolt_app.notifications.content.webhook_format import PayloadError, read_json
from bolt_app.senders.builder import more, notification
from bolt_app.senders.fallback import UNKNOWN_TITLE, readable
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.values import first, get, text
from bolt_app.severity import Severity

_REQUIRED = ("specversion", "id", "source", "type")
_ATTRIBUTES = (*_REQUIRED, "subject", "time", "dataref", "severitytext", "severitynumber")
_DATA_FIELDS = 8
# The lowest number of each severity, the worst first.
_NUMBERS = (
    (21, Severity.CRITICAL),
    (17, Severity.ERROR),
    (13, Severity.WARNING),
    (0, Severity.INFO),
)


def _recognizes(headers: Headers, body: Any) -> bool:
    events = body if isinstance(body, list) else [body]
    return _is_binary(headers) or (bool(events) and all(map(_is_event, events)))


def _read(headers: Headers, body: Any) -> list[Notification]:
    if _is_binary(headers):
        return [_event(_binary(headers, body))]
    if not isinstance(body, list):
        return [_event(body)]
    found = [_event(one) for one in body[:BATCH]]
    if len(body) > BATCH:
        found[-1] = notification(more(BATCH - 1, len(body), "events"), severity=Severity.WARNING)
    return found


def _is_binary(headers: Headers) -> bool:
    return all(headers.get(f"ce-{name}") for name in _REQUIRED)


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(get(value, name), str) for name in _REQUIRED)


def _binary(headers: Headers, body: Any) -> Mapping[str, Any]:
    found = {
        name: unquote(headers[f"ce-{name}"]).replace("\0", "")
        for name in _ATTRIBUTES
        if f"ce-{name}" in headers
    }
    return {**found, "data": body}


def _event(event: Any) -> Notification:
    data = readable(_data(event)) or {}
    fields = [(one["name"], one["value"]) for one in data.get("fields", [])]
    kind = text(event, "type")
    has_title = data.get("title", UNKNOWN_TITLE) not in (UNKNOWN_TITLE, kind)
    return notification(
        f"{kind}: {data['title']}" if has_title else kind,
        data.get("text", ""),
        severity=_severity(event) or data.get("severity", Severity.INFO),
        link=first(text(event, "dataref"), data.get("link", "")),
        fields=[
            ("Source", text(event, "source")),
            ("Subject", text(event, "subject")),
            ("Time", text(event, "time")),
            *fields[:_DATA_FIELDS],
        ],
    )


def _data(event: Any) -> Any:
    """Return the data of an event; SDKs write bytes as `data_base64`, even those of a text."""
    encoded = text(event, "data_base64")
    if not encoded:
        return get(event, "data")
    try:
        written = b64decode(encoded, validate=True).decode().replace("\0", "")
    except ValueError:
        return None
    try:
        return read_json(written)
    except PayloadError:
        return written


def _severity(event: Any) -> Severity | None:
    number = text(event, "severitynumber")
    if number.isdecimal() and len(number) < 4:
        return next(severity for least, severity in _NUMBERS if int(number) >= least)
    return named_severity(text(event, "severitytext"))


SENDER = KnownSender("CloudEvents", _recognizes, _read)
