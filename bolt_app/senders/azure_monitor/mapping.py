"""Azure Monitor: action groups with the common alert schema.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema describes the body.
Requests are not signed. The key is the alert, whose id is the same when it fires and when it is
resolved.
"""

from __future__ import annotations

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
    conditions = items(body, "data", "alertContext", "condition", "allOf")[:5]
    results = (text(one, "linkToSearchResultsUI") for one in conditions)
    return [
        notification(
            f"Resolved: {rule}" if is_resolved else rule,
            plain(text(alert, "description")),
            severity=Severity.SUCCESS
            if is_resolved
            else _SEVERITIES.get(text(alert, "severity"), Severity.INFO),
            link=first(text(alert, "investigationLink"), *results),
            fields=[
                ("Severity", text(alert, "severity")),
                ("Service", text(alert, "monitoringService")),
                ("Signal", text(alert, "signalType")),
                # The last part of a resource's id is its name.
                ("Target", ", ".join(one.rpartition("/")[2] for one in targets)),
                *map(_condition, conditions),
            ],
            key=key_of("alert", first(text(alert, "alertId"), text(alert, "originAlertId"))),
            asks=not is_resolved,
        )
    ]


def _condition(condition: Any) -> tuple[str, str]:
    # Log alerts name a column, or count the rows.
    name = first(text(condition, "metricName"), text(condition, "metricMeasureColumn"), "Rows")
    limit = f"{text(condition, 'operator')} {text(condition, 'threshold')}"
    return name, f"{text(condition, 'metricValue')} ({limit})"


SENDER = KnownSender("Azure Monitor", _recognizes, _read)
