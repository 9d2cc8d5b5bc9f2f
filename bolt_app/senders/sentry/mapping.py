"""Sentry: webhooks of an internal integration.

https://docs.sentry.io/integrations/integration-platform/webhooks/ describes the headers, the
signature (an HMAC-SHA-256 of the body with the integration's client secret) and the bodies of issue
alerts, metric alerts and issues. Issue alerts and issues share the issue's id as their key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bolt_app.senders.builder import key_of, lines, notification, plain
from bolt_app.senders.known import Headers, KnownSender, Notification
from bolt_app.senders.signatures import hmac_of_body
from bolt_app.senders.states import in_words, severity_of_problem
from bolt_app.senders.values import every_item, first, text
from bolt_app.severity import Severity

RESOURCE_HEADER = "sentry-hook-resource"
_SHOWN_TAGS = ("server_name", "release", "url", "user", "transaction")
_METRIC_SEVERITIES = {"critical": Severity.CRITICAL, "warning": Severity.WARNING}


def _recognizes(headers: Headers, body: Any) -> bool:
    return bool(headers.get(RESOURCE_HEADER)) and isinstance(body, dict)


def _read(headers: Headers, body: Any) -> list[Notification]:
    resource = headers.get(RESOURCE_HEADER, "")
    return [_READERS.get(resource, _other(resource))(body)]


def _event_alert(body: Any) -> Notification:
    data = body.get("data")
    event = data.get("event") if isinstance(data, dict) else None
    tags, issue_url = dict(_tags(event)), text(event, "issue_url")
    return notification(
        first(text(event, "title"), text(event, "message"), "Sentry issue"),
        plain(text(event, "culprit")),
        severity=_severity(event),
        link=text(event, "web_url"),
        fields=[
            ("Project", _part(text(event, "url"), "projects", 2)),
            ("Rule", text(data, "triggered_rule")),
            ("Level", text(event, "level")),
            ("Environment", first(text(event, "environment"), tags.get("environment", ""))),
            ("Platform", text(event, "platform")),
            *((name, tags.get(name, "")) for name in _SHOWN_TAGS),
        ],
        key=key_of("issue", first(text(event, "issue_id"), _part(issue_url, "issues", 1))),
        asks=True,
    )


def _issue(body: Any) -> Notification:
    issue = body["data"].get("issue") if isinstance(body.get("data"), dict) else None
    action, status = text(body, "action"), text(issue, "status")
    is_resolved = "resolved" in (action, status)
    is_open = not is_resolved and action not in ("archived", "ignored") and status != "ignored"
    title = first(text(issue, "title"), "Sentry issue")
    state = in_words(first(text(issue, "substatus"), status, action))
    return notification(
        f"Resolved: {title}" if is_resolved else title,
        lines([plain(text(issue, "culprit")), plain(_actor(body, action))]),
        severity=Severity.SUCCESS
        if is_resolved
        else _severity(issue)
        if is_open
        else Severity.INFO,
        link=first(text(issue, "web_url"), text(issue, "permalink")),
        fields=[
            ("Issue", text(issue, "shortId")),
            ("Project", first(text(issue, "project", "name"), text(issue, "project", "slug"))),
            ("State", state),
            ("Level", text(issue, "level")),
            ("Assigned to", text(issue, "assignedTo", "name")),
            ("Events", text(issue, "count")),
            ("Users", text(issue, "userCount")),
        ],
        key=key_of("issue", text(issue, "id")),
        asks=is_open,
    )


def _metric_alert(body: Any) -> Notification:
    data = body.get("data")
    alert = data.get("metric_alert") if isinstance(data, dict) else None
    action = text(body, "action")
    is_resolved = action == "resolved"
    severity = _METRIC_SEVERITIES.get(action, Severity.ERROR)
    projects = (text(one) for one in every_item(alert, "projects")[:10])
    return notification(
        first(text(data, "description_title"), text(alert, "title"), "Sentry metric alert"),
        plain(text(data, "description_text")),
        severity=Severity.SUCCESS if is_resolved else severity,
        link=text(data, "web_url"),
        fields=[
            ("Rule", text(alert, "alert_rule", "name")),
            ("Measure", text(alert, "alert_rule", "aggregate")),
            ("Query", text(alert, "alert_rule", "query")),
            ("Environment", text(alert, "alert_rule", "environment")),
            ("Projects", ", ".join(filter(None, projects))),
        ],
        key=key_of("metric_alert", text(alert, "id")),
        asks=not is_resolved,
    )


def _other(resource: str) -> Callable[[Any], Notification]:
    def read(body: Any) -> Notification:
        what = " ".join(filter(None, (in_words(resource), in_words(text(body, "action")))))
        said = first(
            text(body, "data", "comment"),
            text(body, "data", "error", "title"),
            text(body, "data", "issue", "title"),
        )
        return notification(
            f"Sentry: {what}",
            plain(said, 600),
            severity=Severity.INFO,
            link=first(
                text(body, "data", "error", "web_url"),
                text(body, "data", "issue", "web_url"),
                text(body, "data", "web_url"),
            ),
            fields=[("Actor", text(body, "actor", "name"))],
        )

    return read


def _severity(subject: Any) -> Severity:
    return severity_of_problem(text(subject, "level"))


def _actor(body: Any, action: str) -> str:
    who = text(body, "actor", "name")
    return f"{who}: {in_words(action)}" if who and action else ""


def _part(url: str, name: str, place: int) -> str:
    """Return the part of a URL that many places after a name; empty if there is none."""
    parts = url.split("/")
    return parts[parts.index(name) + place] if name in parts[:-place] else ""


def _tags(event: Any) -> list[tuple[str, str]]:
    pairs = (one for one in every_item(event, "tags")[:100] if isinstance(one, list))
    return [(text(one[0]), text(one[1])) for one in pairs if len(one) == 2]


_READERS: Mapping[str, Callable[[Any], Notification]] = {
    "event_alert": _event_alert,
    "issue": _issue,
    "metric_alert": _metric_alert,
}
SENDER = KnownSender(
    "Sentry",
    _recognizes,
    _read,
    hmac_of_body("Sentry-Hook-Signature", is_chosen_here=False),
)
