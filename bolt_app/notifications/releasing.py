"""Releases what is held when its moment has come: one as it is, several as one digest.

All of it happens in the round that leases the lane, whose row is locked: it is done once, or not at
all where the worker dies. A subscription counts as it is at this moment. What came by one that has
ended or pauses is cancelled, and by one that is muted held for as long.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from bolt_app.db.content import content_summary, known_severity, stored_severity
from bolt_app.db.models import IS_HELD, Delivery, Notification, Subscription
from bolt_app.notifications.digests import Entry, digest_content
from bolt_app.notifications.filters import DEFAULT_SEVERITY
from bolt_app.notifications.ids import new_id
from bolt_app.notifications.incident_messages import ESCALATE, REFRESH, REMIND
from bolt_app.notifications.jobs import LeasedLane
from bolt_app.notifications.routing import STANDING
from bolt_app.notifications.topic_names import patterns_for

logger = logging.getLogger(__name__)

SOURCE = "digest"
# As many as one transaction and one statement should have; more are another digest.
MOST_AT_ONCE = 5000
_DELIVERIES = Delivery.__table__
_WITH_SOME = (
    select(Delivery.lane_id)
    .where(
        Delivery.lane_id.in_(bindparam("lane_ids", expanding=True)),
        IS_HELD,
        Delivery.send_at <= bindparam("now"),
    )
    .distinct()
)
_DUE = (Delivery.lane_id == bindparam("held_in"), IS_HELD, Delivery.send_at <= bindparam("now"))
_ITS_SUBSCRIPTION = Subscription.id == Delivery.subscription_id
_END = update(_DELIVERIES).where(*_DUE).values(finished_at=bindparam("now"))  # type: ignore[arg-type]
_EXPIRE = _END.where(Delivery.expires_at <= bindparam("now")).values(state="expired")
_CANCEL = _END.where(
    Delivery.subscription_id.is_not(None),
    ~exists().where(_ITS_SUBSCRIPTION, Subscription.paused.is_(None)),
).values(state="cancelled")
_PUT_OFF = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(*_DUE, exists().where(_ITS_SUBSCRIPTION, Subscription.muted_until > bindparam("now")))
    .values(
        send_at=select(Subscription.muted_until).where(_ITS_SUBSCRIPTION).scalar_subquery(),
    )
)
_HELD = (
    select(
        Delivery.id,
        Delivery.notification_id,
        Delivery.key,
        Delivery.mode,
        Delivery.subscription_id,
        Notification.topics,
        Notification.created_at,
        stored_severity(Notification.content).label("severity"),
        Subscription.topic.label("pattern"),
    )
    .join(Notification, Notification.id == Delivery.notification_id)
    .outerjoin(Subscription, _ITS_SUBSCRIPTION)
    .where(*_DUE)
    .order_by(Delivery.id)
    .limit(bindparam("most"))
)
# What came later about the same keys, and was not held.
_LATER = (
    select(Delivery.key, Delivery.id, Delivery.notification_id)
    .where(
        Delivery.lane_id == bindparam("held_in"),
        Delivery.key.in_(bindparam("keys", expanding=True)),
        Delivery.key.is_not(None),
        Delivery.id > bindparam("first"),
        Delivery.state.in_(STANDING),
        Delivery.mode.not_in((REFRESH, REMIND, ESCALATE)),
    )
    .order_by(Delivery.id)
)
_RELEASE = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(Delivery.id == bindparam("delivery_id"))
    .values(state="waiting")
)
_CONTENTS = select(Notification.id, content_summary(Notification.content).label("content")).where(
    Notification.id.in_(bindparam("ids", expanding=True))
)
_TELL = _END.values(state="digested", digest_id=bindparam("told_by"))
_DIGEST = _TELL.where(Delivery.id <= bindparam("last"))
_OUTDO = _TELL.where(Delivery.id == bindparam("delivery_id"))


def release(
    connection: Connection, lanes: Sequence[LeasedLane], public_url: str, now: datetime
) -> None:
    """Release what is due in leased lanes, whose rows are locked.

    Args:
        public_url: where the pages of notifications are.
    """
    lane_ids = [lane.id for lane in lanes]
    due = set(connection.scalars(_WITH_SOME, {"lane_ids": lane_ids, "now": now}))
    for lane in lanes:
        if lane.id in due:
            _release(connection, lane, public_url, now)


def _release(connection: Connection, lane: LeasedLane, public_url: str, now: datetime) -> None:
    due = {"held_in": lane.id, "now": now}
    for statement in (_EXPIRE, _CANCEL, _PUT_OFF):
        connection.execute(statement, due)
    rows = connection.execute(_HELD, {**due, "most": MOST_AT_ONCE}).all()
    outdone = _outdone(connection, lane, rows)
    if outdone:
        connection.execute(_OUTDO, [{**due, **one} for one in outdone])
    ids = {one["delivery_id"] for one in outdone}
    told = [row for row in rows if row.id not in ids]
    if len(told) == 1:
        connection.execute(_RELEASE, {"delivery_id": told[0].id})
    elif told:
        digest_id = _write_digest(connection, lane, told, public_url, now)
        connection.execute(_DIGEST, {**due, "told_by": digest_id, "last": rows[-1].id})
    logger.info("released", extra={"lane": lane.id, "deliveries": len(rows)})


def _outdone(connection: Connection, lane: LeasedLane, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what is told by something later about the same key, and by which notification."""
    keyed = [row for row in rows if row.key is not None and row.mode != "new"]
    if not keyed:
        return []
    latest = {row.key: row for row in keyed}
    values = {"held_in": lane.id, "keys": list(latest), "first": keyed[0].id}
    for row in connection.execute(_LATER, values):
        if row.id > latest[row.key].id:
            latest[row.key] = row
    return [
        {"delivery_id": row.id, "told_by": latest[row.key].notification_id}
        for row in keyed
        if row.id < latest[row.key].id
    ]


def _write_digest(
    connection: Connection,
    lane: LeasedLane,
    rows: Sequence[Any],
    public_url: str,
    now: datetime,
) -> str:
    """Write a digest into a lane, and return its notification's id."""
    entries = [_entry(row) for row in rows]

    def look(ids: Sequence[str]) -> Mapping[str, Any]:
        return {row.id: row.content for row in connection.execute(_CONTENTS, {"ids": list(ids)})}

    digest_id = new_id(now)
    notification = {
        "id": digest_id,
        "team_id": lane.team_id,
        "source": SOURCE,
        "content": digest_content(entries, look, public_url),
        "created_at": now,
    }
    subscriptions = {row.subscription_id for row in rows}
    delivery = {
        "notification_id": digest_id,
        "lane_id": lane.id,
        "target": lane.address,
        # What is known of a subscription is what came of it last.
        "subscription_id": subscriptions.pop() if len(subscriptions) == 1 else None,
        "state": "waiting",
        "rank": 0,
        "mode": "new",
        "on_unknown": "hold",
        "send_at": now,
        "attempts": 0,
    }
    connection.execute(insert(Notification), notification)
    connection.execute(insert(Delivery), delivery)
    return digest_id


def _entry(row: Any) -> Entry:
    topics = (row.topics or "").split()
    named = [topic for topic in topics if row.pattern in patterns_for(topic)]
    return Entry(
        notification_id=row.notification_id,
        topic=next(iter([*named, *topics]), None),
        severity=known_severity(row.severity) or DEFAULT_SEVERITY,
        at=row.created_at,
    )
