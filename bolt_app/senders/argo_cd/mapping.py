"""Argo CD: the notifications controller's webhook service, with the template in our documentation.

https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/ describes
templates; ours is in `docs/senders/argo-cd.md`. Requests are not signed. The key is the
application.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.values import get, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "argocd", "app"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    app = get(body, "argocd")
    health, sync, phase = (text(app, name) for name in ("health", "sync", "phase"))
    severity = _severity(health, sync, phase)
    has_failed_sync = severity == Severity.ERROR and health not in _BAD
    state = f"sync {phase.lower()}" if has_failed_sync else health
    return [
        notification(
            f"{text(app, 'app')}: {state}",
            # Of the last sync, which "successfully synced" a degraded application too.
            plain(text(app, "message") if phase in _FAILED else ""),
            severity=severity,
            link=text(app, "url"),
            fields=[
                ("Project", text(app, "project")),
                ("Health", health),
                ("Sync", sync),
                ("Operation", phase),
                ("Revision", text(app, "revision")[:12]),
            ],
            key=key_of("app", text(app, "project") or "default", text(app, "app")),
            asks=severity == Severity.ERROR,
        )
    ]


_BAD = ("Degraded", "Missing")
_FAILED = ("Failed", "Error")


def _severity(health: str, sync: str, phase: str) -> Severity:
    if health in _BAD or phase in _FAILED:
        return Severity.ERROR
    if health in ("Progressing", "Suspended", "Unknown") or phase == "Running":
        return Severity.INFO
    return Severity.WARNING if sync == "OutOfSync" else Severity.SUCCESS


SENDER = KnownSender("Argo CD", _recognizes, _read)
