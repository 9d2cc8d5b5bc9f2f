"""What is to be sent for a delivery: the message, where it goes, and what it changes or answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bolt_app.db.models import Delivery
from bolt_app.notifications.incident_messages import (
    ESCALATE,
    REFRESH,
    REMIND,
    content_of_message,
    escalated,
    reminder,
)
from bolt_app.notifications.jobs import Attempt, LeasedLane
from bolt_app.notifications.shown_incidents import ShownIncident, find_shown

# The latest message about a key in the channel itself, not in a thread.
_ROOT = (
    select(Delivery.channel_id, Delivery.ts)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.state == "sent",
        Delivery.thread_ts.is_(None),
        # A reminder is in the channel itself where its thread is gone; nothing is put over it.
        Delivery.mode != REMIND,
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)


def attempt_of(connection: Connection, lane: LeasedLane, row: Any, now: datetime) -> Attempt:
    """Return the attempt at a delivery.

    Args:
        row: of the delivery and its notification.
    """
    if row.mode == REFRESH:
        return _refreshing(connection, lane, row, now)
    if row.mode == REMIND:
        return _reminding(connection, lane, row)
    channel_id, thread_ts, update_ts = lane.address, row.content.get("thread_ts"), None
    root = None
    if row.key is not None and row.mode in ("update", "thread"):
        root = connection.execute(_ROOT, {"lane_id": lane.id, "key": row.key}).first()
    if root is not None:
        # A person's messages stand in a conversation with an id of its own.
        channel_id = root.channel_id
        if row.mode == "update":
            update_ts = root.ts
        else:
            thread_ts = thread_ts or root.ts
    return Attempt(
        delivery_id=row.id,
        team_id=lane.team_id,
        channel_id=channel_id,
        content=escalated(row.content) if row.mode == ESCALATE else row.content,
        mark=_mark(row),
        number=row.attempts + 1,
        on_unknown=row.on_unknown,
        send_at=row.send_at,
        tried_at=_tried_at(row),
        update_ts=update_ts,
        thread_ts=thread_ts,
        notification_id=row.notification_id,
        incident=_incident(connection, lane, row.key, row.content, now),
        address=lane.address,
    )


def _reminding(connection: Connection, lane: LeasedLane, row: Any) -> Attempt:
    return Attempt(
        delivery_id=row.id,
        team_id=lane.team_id,
        channel_id=row.channel_id or lane.address,
        content=reminder(connection, lane.team_id, row.key),
        mark=_mark(row),
        number=row.attempts + 1,
        on_unknown=row.on_unknown,
        send_at=row.send_at,
        tried_at=_tried_at(row),
        thread_ts=row.thread_ts,
        notification_id=row.notification_id,
    )


def _mark(row: Any) -> str:
    return f"{row.notification_id}.{row.id}"


def _tried_at(row: Any) -> datetime | None:
    tried_at: datetime | None = row.tried_at if row.state == "sending" else None
    return tried_at


def _refreshing(connection: Connection, lane: LeasedLane, row: Any, now: datetime) -> Attempt:
    """Return the attempt that shows a message anew, as what was put there last.

    What was being sent when it was asked for stands in the channel by now.
    """
    channel_id, ts, thread_ts = row.channel_id, row.ts, row.thread_ts
    if ts is None:
        root = connection.execute(_ROOT, {"lane_id": lane.id, "key": row.key}).first()
        if root is not None:
            channel_id, ts = root.channel_id, root.ts
    last = None if ts is None else content_of_message(connection, lane.id, row.key, ts)
    content = row.content if last is None else last.content
    return Attempt(
        delivery_id=row.id,
        team_id=lane.team_id,
        channel_id=channel_id or lane.address,
        content=content,
        mark=_mark(row),
        number=row.attempts + 1,
        on_unknown=row.on_unknown,
        send_at=row.send_at,
        update_ts=ts,
        thread_ts=thread_ts,
        notification_id=row.notification_id if last is None else last.notification_id,
        incident=_incident(connection, lane, row.key, content, now),
        is_refresh=True,
        address=lane.address,
    )


def _incident(
    connection: Connection,
    lane: LeasedLane,
    key: str | None,
    content: Mapping[str, Any],
    now: datetime,
) -> ShownIncident | None:
    if key is None or "actions" not in content:
        return None
    return find_shown(connection, lane.team_id, key, now)
