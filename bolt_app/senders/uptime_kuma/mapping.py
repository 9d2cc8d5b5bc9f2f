"""Uptime Kuma: the notification type Webhook, as JSON or as form data.

https://github.com/louislam/uptime-kuma/blob/master/server/notification-providers/webhook.js writes
the body, https://github.com/louislam/uptime-kuma/blob/master/src/util.ts has the states. Requests
are not signed. The key is the monitor.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.values import first, get, text
from bolt_app.severity import Severity

_STATES = {
    "0": ("down", Severity.ERROR),
    "1": ("up", Severity.SUCCESS),
    "2": ("pending", Severity.WARNING),
    "3": ("maintenance", Severity.INFO),
}


def _recognizes(_headers: Headers, body: Any) -> bool:
    return isinstance(body, dict) and {"heartbeat", "monitor", "msg"} <= body.keys()


def _read(_headers: Headers, body: Any) -> list[Notification]:
    heartbeat, monitor = get(body, "heartbeat"), get(body, "monitor")
    state, severity = _STATES.get(text(heartbeat, "status"), ("", Severity.INFO))
    name = first(text(monitor, "name"), "Uptime Kuma")
    said = first(text(heartbeat, "msg"), text(body, "msg"))
    address = first(text(monitor, "url"), text(monitor, "hostname"))
    return [
        notification(
            f"{name} is {state}" if state else name,
            plain(said),
            severity=severity,
            link=address,
            fields=[
                ("Address", "" if address == "https://" else address),
                ("Type", text(monitor, "type")),
                ("Since", text(heartbeat, "localDateTime")),
            ],
            key=key_of("monitor", text(monitor, "id")),
            asks=severity == Severity.ERROR,
        )
    ]


SENDER = KnownSender("Uptime Kuma", _recognizes, _read)
