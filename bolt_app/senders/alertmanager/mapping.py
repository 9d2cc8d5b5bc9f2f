"""Prometheus Alertmanager: `webhook_configs`, version 4 of its format.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config describes the body,
https://github.com/prometheus/alertmanager/blob/main/notify/webhook/webhook.go writes it. Requests
are not signed. The key is `groupKey`: one message per group, green once all its alerts are
resolved.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.alerts import group, shared
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.values import items, text


def _recognizes(_headers: Headers, body: Any) -> bool:
    return (
        isinstance(body, dict)
        and isinstance(body.get("alerts"), list)
        and isinstance(body.get("groupKey"), str)
        and "orgId" not in body
    )


def _read(_headers: Headers, body: Any) -> list[Notification]:
    alerts = items(body, "alerts")
    links = [
        ("Runbook", shared(alerts, "annotations", "runbook_url")),
        ("Query", shared(alerts, "generatorURL")),
    ]
    return [group(body, text(body, "externalURL"), links)]


SENDER = KnownSender("Alertmanager", _recognizes, _read)
