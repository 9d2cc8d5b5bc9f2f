"""Jenkins: the Notification plugin, format JSON, protocol HTTP.

https://plugins.jenkins.io/notification/ describes the body. Requests are not signed. A job has one
message, which turns green when a later build passes; a started build is a separate message.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import in_words, severity_of_state
from bolt_app.senders.values import first, get, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "name") and text(body, "build", "phase") and text(body, "url"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    build = get(body, "build")
    phase, status = text(build, "phase"), text(build, "status")
    is_over = phase in ("COMPLETED", "FINALIZED")
    severity = severity_of_state(status) if is_over else Severity.INFO
    name = first(text(body, "display_name"), text(body, "name"))
    state = first(status, phase) if is_over else phase
    return [
        notification(
            f"{name} #{text(build, 'number')}: {in_words(state)}",
            severity=severity,
            link=text(build, "full_url"),
            fields=[
                ("Job", text(body, "name")),
                ("Branch", text(build, "scm", "branch")),
                ("Commit", text(build, "scm", "commit")[:8]),
            ],
            key=key_of("job", text(body, "name")) if is_over else "",
            asks=severity == Severity.ERROR,
        )
    ]


SENDER = KnownSender("Jenkins", _recognizes, _read)
