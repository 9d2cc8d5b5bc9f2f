"""A notification's content as it is shown once its incident is resolved: green, without alarm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.notifications.content.meaning import DERIVED, derived
from bolt_app.notifications.content.message import COLOURS
from bolt_app.notifications.incidents.view import ShownIncident


def content_in_state(content: Mapping[str, Any], incident: ShownIncident | None) -> dict[str, Any]:
    """Return a content with the colours and sign of its incident's state.

    Args:
        content: as it was stored; a reopened incident is shown in the colours of before.
        incident: that of its key, where it has one.
    """
    shown = dict(content)
    if incident is None or incident.state != "resolved":
        return shown
    if "severity" in content:
        shown["severity"] = "success"
    if "severity" in derived(content):
        shown[DERIVED] = {**derived(content), "severity": "success"}
    if isinstance(content.get("attachments"), list):
        shown["attachments"] = [_green(one) for one in content["attachments"]]
    return shown


def _green(attachment: Any) -> Any:
    """Return an attachment in green where it has a colour; Slack itself refuses a malformed one."""
    if not isinstance(attachment, Mapping) or "color" not in attachment:
        return attachment
    return {**attachment, "color": COLOURS["success"]}
