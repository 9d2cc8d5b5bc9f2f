"""Jenkins: the Notification plugin, format JSON, protocol HTTP.

https://plugins.jenkins.io/notification/ describes the body, and
https://github.com/jenkinsci/notification-plugin (`Phase.java`, `model/`) writes it. Requests are
not signed. A job has one message, which turns green when a later build passes; a started build is
a separate message.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from bolt_app.senders.builder import key_of, lines, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import in_words, severity_of_state
from bolt_app.senders.values import first, get, text, texts
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "name") and text(body, "build", "phase") and text(body, "url"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    build = get(body, "build")
    phase, status = text(build, "phase"), text(build, "status")
    is_over = phase in ("COMPLETED", "FINALIZED")
    severity = severity_of_state(status) if is_over else Severity.INFO
    state = first(status, phase) if is_over else phase
    path = _path(body)
    name = first(text(body, "display_name"), text(body, "name"))
    return [
        notification(
            f"{'/'.join([*path[:-1], name])} #{text(build, 'number')}: {in_words(state)}",
            lines([plain(text(build, "notes"), 300), plain(_failed_tests(build), 600)]),
            severity=severity,
            link=text(build, "full_url"),
            fields=[
                ("Job", "/".join(path)),
                ("Branch", text(build, "scm", "branch")),
                ("Commit", text(build, "scm", "commit")[:8]),
                ("Changes by", ", ".join(texts(build, "scm", "culprits"))),
            ],
            key=key_of("job", "/".join(path)) if is_over else "",
            asks=severity == Severity.ERROR,
        )
    ]


def _path(body: Any) -> list[str]:
    """Return the folders of a job, and its name, which is unique only in its folder."""
    parts = text(body, "url").strip("/").split("/")
    names = [unquote(one) for one in parts[1::2]]
    is_path = len(parts) % 2 == 0 and set(parts[::2]) == {"job"}
    return names if is_path else [text(body, "name")]


def _failed_tests(build: Any) -> str:
    summary = get(build, "test_summary")
    failed = text(summary, "failed")
    if failed in ("", "0"):
        return ""
    names = texts(summary, "failed_tests")
    counted = f"{failed} of {text(summary, 'total')} tests failed"
    return f"{counted}: {', '.join(names)}" if names else counted


SENDER = KnownSender("Jenkins", _recognizes, _read)
