"""Google Cloud Monitoring: webhook notification channels.

https://cloud.google.com/monitoring/support/notification-options#webhooks describes the body,
version 1.2. Requests are not signed. The key is the incident.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, lines, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import severity_of_problem
from bolt_app.senders.values import first, get, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    incident = get(body, "incident")
    return bool(text(incident, "incident_id") and text(incident, "policy_name"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    incident = get(body, "incident")
    # A test of the channel writes states in capitals.
    is_closed = text(incident, "state").lower() == "closed"
    name = first(text(incident, "policy_name"), text(incident, "condition_name"))
    severity = severity_of_problem(text(incident, "severity"))
    documentation = text(incident, "documentation", "content")
    return [
        notification(
            f"Closed: {name}" if is_closed else name,
            lines([plain(text(incident, "summary")), plain(documentation, 600)]),
            severity=Severity.SUCCESS if is_closed else severity,
            link=text(incident, "url"),
            fields=[
                ("Condition", text(incident, "condition_name")),
                ("Resource", text(incident, "resource_display_name")),
                ("Metric", text(incident, "metric", "displayName")),
                ("Observed", text(incident, "observed_value")),
                ("Threshold", text(incident, "threshold_value")),
                ("Project", text(incident, "scoping_project_id")),
            ],
            key=key_of("incident", text(incident, "incident_id")),
            asks=not is_closed,
        )
    ]


SENDER = KnownSender("Google Cloud Monitoring", _recognizes, _read)
