"""Attempts: the message to send for a delivery, its destination, and the message it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bolt_app.db.models import Delivery, Lane, Notification, Reaction
from bolt_app.notifications.content.modes import CHANGES, DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.replaced_messages import current_thread
from bolt_app.notifications.incidents.messages import (
    escalation_content,
    find_shown_notification,
    reminder_content,
)
from bolt_app.notifications.incidents.view import IncidentView, find_incident_view
from bolt_app.notifications.queue.provisional_ts import thread_in_slack

# With `Delivery`, `Lane` and `Notification` joined: the rows that `attempt_of` takes.
ATTEMPT_ROWS = (
    select(
        Delivery.id,
        Delivery.team_id,
        Delivery.lane_id,
        Delivery.notification_id,
        Delivery.state,
        Delivery.target,
        Delivery.subscription_id,
        Delivery.key,
        Delivery.mode,
        Delivery.source,
        Delivery.on_unknown,
        Delivery.send_at,
        Delivery.expires_at,
        Delivery.error,
        Delivery.attempts,
        Delivery.attempt_number,
        Delivery.tried_at,
        Delivery.channel_id,
        Delivery.ts,
        Delivery.thread_ts,
        Delivery.second_look_at,
        Lane.address,
        Lane.failing_since,
        Notification.content,
        Notification.source.label("sender"),
    )
    .join(Lane, Lane.id == Delivery.lane_id)
    .join(Notification, Notification.id == Delivery.notification_id)
)
# The message that a change is about.
_CHANGED = select(Delivery.channel_id, Delivery.ts, Delivery.thread_ts).where(
    Delivery.lane_id == bindparam("lane_id"),
    Delivery.key == bindparam("key"),
    Delivery.key.is_not(None),
    Delivery.provisional_ts.is_not(None),
    Delivery.state == DeliveryState.SENT,
)
_REACTION = select(Reaction.name).where(Reaction.delivery_id == bindparam("delivery_id"))
# The latest message about a key in the channel itself, not in a thread.
_ROOT = (
    select(Delivery.channel_id, Delivery.ts)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.state == DeliveryState.SENT,
        Delivery.thread_ts.is_(None),
        # A reminder whose thread is gone is in the channel itself, and is never updated.
        Delivery.mode != DeliveryMode.REMIND,
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Attempt:
    """An attempt to post or update a message.

    Attributes:
        number: how many attempts were made, this one included.
        last_error: of the earlier attempts.
        key: of the notification, prefixed by its source.
        attempt_number: unique per attempt; the outcome is recorded only if it still matches.
        mark: the message's metadata, by which it is found again.
        address: of the lane, for which the values of the message's buttons are signed.
        sender: the credential, command or person that sent the notification.
        source: whose turn it is.
        target: the recipient as the sender or the subscription names it.
        by_subscription: whether only a subscription addressed it.
        tried_at: when the first attempt began.
        is_repeat: whether an earlier attempt may have been posted.
        has_expired: whether it must not be made: it may only be found out what an earlier one did.
        update_ts: the message to update.
        thread_ts: the message to reply to.
        is_refresh: whether it only shows a message again.
        may_post_again: whether a refresh posts the message again if it was deleted.
        is_reminder: whether it only reminds people of a message.
        change: the change of a message that it makes, if it does nothing else.
        reaction: the emoji that it adds to a message.
        failing_since: since when no attempt in the lane has succeeded.
        size: of the content, as it is stored.
    """

    delivery_id: int
    team_id: str
    lane_id: int
    address: str = field(repr=False)
    target: str = field(repr=False)
    channel_id: str
    content: Mapping[str, Any] = field(repr=False)
    mark: str
    number: int
    attempt_number: int
    on_unknown: str
    send_at: datetime
    tried_at: datetime
    notification_id: str
    sender: str
    source: str
    by_subscription: bool = False
    last_error: str | None = None
    key: str | None = field(default=None, repr=False)
    is_repeat: bool = False
    has_expired: bool = False
    update_ts: str | None = None
    thread_ts: str | None = None
    incident: IncidentView | None = None
    is_refresh: bool = False
    may_post_again: bool = False
    is_reminder: bool = False
    change: DeliveryMode | None = None
    reaction: str | None = None
    failing_since: datetime | None = None
    size: int = 0


def attempt_of(connection: Connection, row: Any, now: datetime) -> Attempt:
    """Return the next attempt at a delivery.

    Args:
        row: one of `ATTEMPT_ROWS`.
    """
    if row.mode == DeliveryMode.REFRESH:
        return _refreshing(connection, row, now)
    if row.mode == DeliveryMode.REMIND:
        return _reminding(connection, row, now)
    if row.mode in CHANGES:
        return _changing(connection, row, now)
    channel_id, thread_ts, update_ts = row.address, row.content.get("thread_ts"), None
    root = None
    if row.key is not None and row.mode in (DeliveryMode.UPDATE, DeliveryMode.THREAD):
        root = connection.execute(_ROOT, {"lane_id": row.lane_id, "key": row.key}).first()
    if root is not None:
        # A person's messages are in a conversation with a separate id.
        channel_id = root.channel_id
        if row.mode == DeliveryMode.UPDATE:
            update_ts = root.ts
        else:
            thread_ts = thread_ts or root.ts
    return Attempt(
        **_common(row, now),
        channel_id=channel_id,
        content=escalation_content(row.content)
        if row.mode == DeliveryMode.ESCALATE
        else row.content,
        update_ts=update_ts,
        thread_ts=_current(connection, row, _in_slack(connection, row, thread_ts)),
        notification_id=row.notification_id,
        incident=_incident(connection, row, row.content, now),
    )


def mark_of(row: Any) -> str:
    """Return the metadata of a delivery's message."""
    return f"{row.notification_id}.{row.id}"


def has_expired(row: Any, now: datetime) -> bool:
    """Return whether a delivery must not be sent any more."""
    return row.expires_at is not None and row.expires_at <= now


def _common(row: Any, now: datetime) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "team_id": row.team_id,
        "lane_id": row.lane_id,
        "address": row.address,
        "target": row.target,
        "sender": row.sender,
        "source": row.source,
        "by_subscription": row.subscription_id is not None,
        "mark": mark_of(row),
        "number": row.attempts + 1,
        "last_error": row.error,
        "attempt_number": row.attempt_number + 1,
        "on_unknown": row.on_unknown,
        "send_at": row.send_at,
        "tried_at": row.tried_at or now,
        "is_repeat": row.state == DeliveryState.SENDING,
        "has_expired": has_expired(row, now),
        "key": row.key,
        "failing_since": row.failing_since,
    }


def _changing(connection: Connection, row: Any, now: datetime) -> Attempt:
    """Return the attempt that changes a message; without `update_ts` if it was never posted."""
    changed = connection.execute(_CHANGED, {"lane_id": row.lane_id, "key": row.key}).first()
    reaction = None
    if row.mode == DeliveryMode.REACT:
        reaction = connection.scalar(_REACTION, {"delivery_id": row.id})
    return Attempt(
        **_common(row, now),
        channel_id=row.address if changed is None else changed.channel_id,
        content=row.content,
        update_ts=None if changed is None else changed.ts,
        thread_ts=None if changed is None else changed.thread_ts,
        notification_id=row.notification_id,
        change=DeliveryMode(row.mode),
        reaction=reaction,
    )


def _reminding(connection: Connection, row: Any, now: datetime) -> Attempt:
    return Attempt(
        **_common(row, now),
        channel_id=row.channel_id or row.address,
        content=reminder_content(connection, row.team_id, row.key),
        thread_ts=_current(connection, row, row.thread_ts),
        notification_id=row.notification_id,
        is_reminder=True,
    )


def _refreshing(connection: Connection, row: Any, now: datetime) -> Attempt:
    """Return the attempt that shows a message again, with its latest content.

    The message may have been in flight when the refresh was queued; it is posted by now.
    """
    channel_id, ts, thread_ts = row.channel_id, row.ts, row.thread_ts
    root = connection.execute(_ROOT, {"lane_id": row.lane_id, "key": row.key}).first()
    if ts is None and root is not None:
        channel_id, ts = root.channel_id, root.ts
    shown = None if ts is None else find_shown_notification(connection, row.lane_id, row.key, ts)
    content, common = row.content, _common(row, now)
    if shown is not None:
        content, common["by_subscription"] = shown.content, shown.subscription_id is not None
    incident = _incident(connection, row, content, now)
    # Only the latest message in the channel is posted again, while its incident needs attention,
    # and unless its notification was cancelled or has expired.
    is_latest = root is not None and root.ts == ts
    return Attempt(
        **common,
        channel_id=channel_id or row.address,
        content=content,
        update_ts=ts,
        thread_ts=_current(connection, row, thread_ts),
        notification_id=row.notification_id if shown is None else shown.notification_id,
        incident=incident,
        is_refresh=True,
        may_post_again=is_latest
        and not (shown is not None and has_expired(shown, now))
        and incident is not None
        and incident.wants_attention,
    )


def _in_slack(connection: Connection, row: Any, thread_ts: str | None) -> str | None:
    """Return Slack's `ts` for a provisional one; None if its message was never posted."""
    if thread_ts is None:
        return None
    return thread_in_slack(connection, row.team_id, row.lane_id, row.source, thread_ts)


def _current(connection: Connection, row: Any, thread_ts: str | None) -> str | None:
    if thread_ts is None:
        return None
    return current_thread(connection, row.lane_id, row.source, thread_ts)


def _incident(
    connection: Connection, row: Any, content: Mapping[str, Any], now: datetime
) -> IncidentView | None:
    if row.key is None or "actions" not in content:
        return None
    return find_incident_view(connection, row.team_id, row.key, now)
