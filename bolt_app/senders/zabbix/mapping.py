"""Zabbix: a media type of the type Webhook, with the script in our documentation.

https://www.zabbix.com/documentation/current/en/manual/config/notifications/media/webhook describes
scripts; ours is in `docs/senders/zabbix.md`. Requests are not signed. The key is the problem's
event, which is the same in its recovery.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import severity_of_problem
from bolt_app.senders.values import first, get, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "zabbix", "event_id"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    event = get(body, "zabbix")
    is_resolved = text(event, "value") == "0"
    name = first(text(event, "name"), "Zabbix problem")
    severity = severity_of_problem(text(event, "severity"), Severity.WARNING)
    return [
        notification(
            f"Resolved: {name}" if is_resolved else name,
            plain(text(event, "message")),
            severity=Severity.SUCCESS if is_resolved else severity,
            link=text(event, "url"),
            fields=[
                ("Host", text(event, "host")),
                ("Severity", text(event, "severity")),
                ("Data", text(event, "opdata")),
                ("Tags", text(event, "tags")),
            ],
            key=key_of("event", text(event, "event_id")),
            asks=not is_resolved,
        )
    ]


SENDER = KnownSender("Zabbix", _recognizes, _read)
