"""New Relic: workflows with a webhook destination and its default payload template.

https://docs.newrelic.com/docs/alerts/get-notified/notification-integrations/ describes the
template. Requests are not signed. The key is the issue.
"""

from __future__ import annotations

from typing import Any

from bolt_app.senders.builder import key_of, lines, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.states import severity_of_problem
from bolt_app.senders.values import first, text, texts
from bolt_app.severity import Severity


def _recognizes(_headers: Headers, body: Any) -> bool:
    return bool(text(body, "issueUrl") and text(body, "state") and text(body, "priority"))


def _read(_headers: Headers, body: Any) -> list[Notification]:
    is_closed = text(body, "state").upper() == "CLOSED"
    title = first(text(body, "title"), "New Relic issue")
    severity = severity_of_problem(text(body, "priority"))
    entities = texts(body, "impactedEntities")
    return [
        notification(
            f"Closed: {title}" if is_closed else title,
            lines(plain(one, 200) for one in entities[:10]),
            severity=Severity.SUCCESS if is_closed else severity,
            link=text(body, "issueUrl"),
            fields=[
                ("State", text(body, "state").lower()),
                ("Priority", text(body, "priority").lower()),
                ("Policies", ", ".join(texts(body, "alertPolicyNames"))),
                ("Conditions", ", ".join(texts(body, "alertConditionNames"))),
                ("Incidents", text(body, "totalIncidents")),
                ("Workflow", text(body, "workflowName")),
            ],
            key=key_of("issue", text(body, "id")),
            asks=not is_closed,
        )
    ]


SENDER = KnownSender("New Relic", _recognizes, _read)
