"""Groups of alerts in the format of Alertmanager, which Grafana also uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bolt_app.notifications.content.meaning import named_severity
from bolt_app.senders.builder import lines, link_to, more, notification, plain
from bolt_app.senders.known import Notification
from bolt_app.senders.values import every_item, first, items, mapping, pairs, text
from bolt_app.severity import SEVERITIES, Severity

Alert = Mapping[str, Any]
_SHOWN_ALERTS = 10
_ANNOTATIONS = ("summary", "description", "message")


def group(body: Any, link: str, links: Sequence[tuple[str, str]]) -> Notification:
    """Return the notification of a group: red while one of its alerts fires, then green.

    Args:
        link: of the title.
        links: URLs and labels of further links.
    """
    alerts = items(body, "alerts")
    firing = [one for one in alerts if text(one, "status") != "resolved"]
    is_resolved = text(body, "status") == "resolved"
    name = _name(body, alerts)
    return notification(
        f"Resolved: {name}" if is_resolved else f"{name}{_counts(alerts, firing)}",
        lines([*_words(body, alerts), _links(links)]),
        severity=Severity.SUCCESS if is_resolved else _severity(body, firing),
        link=link,
        fields=_fields(body),
        key=text(body, "groupKey"),
        asks=not is_resolved,
    )


def shared(alerts: Sequence[Alert], *path: str) -> str:
    """Return the text at a path if it is the same in all alerts.

    A link that belongs to the first of several alerts would seem to be the group's.
    """
    found = {text(one, *path) for one in alerts}
    return found.pop() if len(found) == 1 else ""


def _name(body: Any, alerts: Sequence[Alert]) -> str:
    grouped = " ".join(value for _, value in pairs(body, "groupLabels"))
    alone = text(alerts[0], "labels", "alertname") if len(alerts) == 1 else ""
    return first(text(body, "commonLabels", "alertname"), alone, grouped, "Alerts")


def _counts(alerts: Sequence[Alert], firing: Sequence[Alert]) -> str:
    if len(alerts) < 2:
        return ""
    resolved = len(alerts) - len(firing)
    return f" ({len(firing)} firing{f', {resolved} resolved' if resolved else ''})"


def _severity(body: Any, firing: Sequence[Alert]) -> Severity:
    """Return the worst severity that a label of a firing alert names; `ERROR` by default."""
    labels = [mapping(one, "labels") for one in firing] or [mapping(body, "commonLabels")]
    found = (named_severity(text(one, "severity")) for one in labels)
    named = [one for one in found if one is not None and one != Severity.SUCCESS]
    return max(named, key=SEVERITIES.index, default=Severity.ERROR)


def _words(body: Any, alerts: Sequence[Alert]) -> Iterator[str]:
    common = [text(body, "commonAnnotations", name) for name in _ANNOTATIONS]
    yield from (plain(one) for one in dict.fromkeys(common))
    if len(alerts) < 2:
        if not any(common) and alerts:
            yield plain(_annotation(alerts[0]))
        return
    shared = {name for name, _ in pairs(body, "commonLabels")}
    for alert in alerts[:_SHOWN_ALERTS]:
        sign = (
            "\N{LARGE GREEN CIRCLE}"
            if text(alert, "status") == "resolved"
            else "\N{LARGE RED CIRCLE}"
        )
        own = ", ".join(value for name, value in pairs(alert, "labels") if name not in shared)
        said = _annotation(alert)
        words = ": ".join(filter(None, (own, "" if said in common else said)))
        yield f"{sign} {plain(first(words, text(alert, 'labels', 'alertname')), 300)}"
    hidden = text(body, "truncatedAlerts")
    there_are = len(every_item(body, "alerts")) + (int(hidden) if hidden.isdecimal() else 0)
    yield more(min(len(alerts), _SHOWN_ALERTS), there_are, "alerts")


def _annotation(alert: Alert) -> str:
    return first(*(text(alert, "annotations", name) for name in _ANNOTATIONS))


def _links(links: Sequence[tuple[str, str]]) -> str:
    return " · ".join(link_to(url, label) for label, url in links if url)


def _fields(body: Any) -> Iterator[tuple[str, str]]:
    yield from ((name, value) for name, value in pairs(body, "commonLabels") if name != "alertname")
