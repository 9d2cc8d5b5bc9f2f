"""The origin of an event: its id, time and installation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from slack_bolt import BoltContext

from bolt_app.lifecycle.events import EventOrigin

# The ids of organizations begin with it, those of workspaces with T.
_ORGANIZATION = "E"


def origin_of(body: dict[str, Any], context: BoltContext) -> EventOrigin:
    """Return the origin of an event's request.

    Slack's documented reports of an uninstall name no installation, only a workspace
    (https://docs.slack.dev/reference/events/app_uninstalled).
    """
    team_id, enterprise_id = context.team_id, context.enterprise_id
    is_organization = bool(team_id) and str(team_id).startswith(_ORGANIZATION)
    return EventOrigin(
        event_id=body["event_id"],
        enterprise_id=enterprise_id or (team_id if is_organization else None),
        team_id=team_id,
        is_enterprise_install=bool(context.is_enterprise_install) or is_organization,
        at=_moment(body.get("event_time")),
        names_installation=bool(body.get("authorizations")) or "is_enterprise_install" in body,
    )


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
    except (ValueError, OverflowError, OSError):
        return None
