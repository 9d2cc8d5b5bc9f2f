"""Healthchecks: the Webhook integration, with the request body in our documentation.

https://healthchecks.io/docs/configuring_notifications/ and the form of the integration list the
placeholders; our request body is in `docs/senders/healthchecks.md`. Requests are not signed. The
key is the check.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.values import get, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "healthchecks", "code") and text(body, "healthchecks", "status"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    check = get(body, "healthchecks")
    state = text(check, "status")
    is_down = state == "down"
    return [
        notification(
            f"{text(check, 'name') or text(check, 'code')} is {state}",
            severity=Severity.ERROR if is_down else Severity.SUCCESS,
            link=text(check, "url"),
            fields=[("Tags", text(check, "tags")), ("Time", text(check, "now"))],
            key=key_of("check", text(check, "code")),
            asks=is_down,
        )
    ]


SENDER = KnownSender("Healthchecks", _recognizes, _read)
