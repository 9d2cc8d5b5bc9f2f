"""Azure Monitor: action groups with the common alert schema.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema describes the body.
Requests are not signed. The key is the alert, whose id is the same when it fires and when it is
resolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.values import first, get, items, text, texts
from bolt_app.severity import Severity

_SEVERITIES = {"Sev0": Severity.CRITICAL, "Sev1": Severity.ERROR, "Sev2": Severity.WARNING}


def _recognizes(_headers: Headers, body: Any) -> bool:
    return text(body, "schemaId") == "azureMonitorCommonAlertSchema"


def _read(_headers: Headers, body: Any) -> list[Notification]:
    alert = get(body, "data", "essentials")
    is_resolved = text(alert, "monitorCondition") == "Resolved"
    rule = first(text(alert, "alertRule"), "Azure Monitor alert")
    targets = texts(alert, "configurationItems") or texts(alert, "alertTargetIDs")
    return [
        notification(
            f"Resolved: {rule}" if is_resolved else rule,
            plain(text(alert, "description")),
            severity=Severity.SUCCESS
            if is_resolved
            else _SEVERITIES.get(text(alert, "severity"), Severity.INFO),
            link=text(alert, "investigationLink"),
            fields=[
                ("Severity", text(alert, "severity")),
                ("Service", text(alert, "monitoringService")),
                ("Signal", text(alert, "signalType")),
                ("Target", ", ".join(targets)),
                *_conditions(get(body, "data", "alertContext")),
            ],
            key=key_of("alert", first(text(alert, "alertId"), text(alert, "originAlertId"))),
            asks=not is_resolved,
        )
    ]


def _conditions(context: Any) -> Iterator[tuple[str, str]]:
    for one in items(context, "condition", "allOf")[:5]:
        value, threshold = text(one, "metricValue"), text(one, "threshold")
        yield text(one, "metricName"), f"{value} ({text(one, 'operator')} {threshold})"


SENDER = KnownSender("Azure Monitor", _recognizes, _read)
