"""The origin of an event: its id, time and installation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from slack_bolt import BoltContext

from bolt_app.lifecycle.events import EventOrigin


def origin_of(body: dict[str, Any], context: BoltContext) -> EventOrigin:
    """Return the origin of an event's request."""
    return EventOrigin(
        event_id=body["event_id"],
        enterprise_id=context.enterprise_id,
        team_id=context.team_id,
        is_enterprise_install=bool(context.is_enterprise_install),
        at=_moment(body.get("event_time")),
    )


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
    except (ValueError, OverflowError, OSError):
        return None
