"""The content of a notification whose incident is resolved: shown in green, as a success."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.notifications.content.meaning import DERIVED, derived
from bolt_app.notifications.content.states import IncidentState
from bolt_app.notifications.incidents.view import IncidentView
from bolt_app.severity import COLOURS, Severity


def content_in_state(content: Mapping[str, Any], incident: IncidentView | None) -> dict[str, Any]:
    """Return a content with the colours and sign of its incident's state.

    Args:
        content: as stored, so that a reopened incident gets its earlier colours back.
        incident: that of its key, if it has one.
    """
    shown = dict(content)
    if incident is None or incident.state != IncidentState.RESOLVED:
        return shown
    if "severity" in content:
        shown["severity"] = Severity.SUCCESS
    if "severity" in derived(content):
        shown[DERIVED] = {**derived(content), "severity": Severity.SUCCESS}
    if isinstance(content.get("attachments"), list):
        shown["attachments"] = [_green(attachment) for attachment in content["attachments"]]
    return shown


def _green(attachment: Any) -> Any:
    """Return an attachment in green if it has a colour. A malformed one is left to Slack."""
    if not isinstance(attachment, Mapping) or "color" not in attachment:
        return attachment
    return {**attachment, "color": COLOURS[Severity.SUCCESS]}
