"""PagerDuty: webhook subscriptions, version 3.

https://developer.pagerduty.com/docs/webhooks-overview describes the events, and
https://developer.pagerduty.com/docs/verifying-webhook-signatures the signature, whose secret
PagerDuty shows once. The key is the incident.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import versioned_hmac
from bolt_app.senders.states import in_words, severity_of_problem
from bolt_app.senders.values import first, get, items, text
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    event = get(body, "event")
    return bool(text(event, "event_type") and text(event, "resource_type"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    event = get(body, "event")
    if text(event, "data", "type") == "incident":
        return [_incident(event)]
    what = in_words(text(event, "event_type").replace(".", " "))
    about = text(event, "data", "incident", "summary")
    return [
        notification(
            f"{about}: {what}" if about else f"PagerDuty: {what}",
            plain(first(text(event, "data", "content"), text(event, "data", "message")), 600),
            severity=Severity.INFO,
            link=text(event, "data", "incident", "html_url"),
            fields=[("By", text(event, "agent", "summary"))],
        )
    ]


def _incident(event: Any) -> Notification:
    incident = get(event, "data")
    is_resolved = text(incident, "status") == "resolved"
    title = first(text(incident, "title"), f"Incident {text(incident, 'number')}")
    urgency, priority = text(incident, "urgency"), text(incident, "priority", "summary")
    assignees = (text(one, "summary") for one in items(incident, "assignees"))
    return notification(
        f"Resolved: {title}" if is_resolved else title,
        severity=Severity.SUCCESS if is_resolved else _severity(urgency, priority),
        link=text(incident, "html_url"),
        fields=[
            ("Service", text(incident, "service", "summary")),
            ("Status", text(incident, "status")),
            ("Urgency", urgency),
            ("Priority", priority),
            ("Assigned to", ", ".join(filter(None, assignees))),
            ("By", text(event, "agent", "summary")),
        ],
        key=key_of("incident", text(incident, "id")),
        asks=not is_resolved,
    )


def _severity(urgency: str, priority: str) -> Severity:
    by_urgency = Severity.WARNING if urgency == "low" else Severity.ERROR
    return severity_of_problem(priority, by_urgency)


SENDER = KnownSender(
    "PagerDuty", _recognizes, _read, versioned_hmac("X-PagerDuty-Signature", is_chosen_here=False)
)
