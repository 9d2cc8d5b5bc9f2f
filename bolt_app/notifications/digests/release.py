"""Release of held deliveries that are due: a single one as it is, several as a digest.

A release is one change of the workspace, whose row is locked: it happens once, or not at all if the
worker dies. Subscriptions are applied as of the release: deliveries of an ended or paused one are
cancelled, those of a muted one are held until the mute ends.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from bolt_app.credentials.sources import SourceKind
from bolt_app.db.content import content_summary, stored_severity
from bolt_app.db.models import IS_HELD, IS_LATER, Delivery, Notification, Subscription
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.content.modes import DeliveryMode, OnUnknown
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.content.topics import matches
from bolt_app.notifications.digests.content import Entry, digest_content
from bolt_app.notifications.queue.change_feed import stored_urgency
from bolt_app.notifications.queue.requeue import EXPIRED_STATE
from bolt_app.notifications.subscriptions.filters import DEFAULT_SEVERITY
from bolt_app.notifications.subscriptions.routing import MESSAGE_STATES
from bolt_app.recipients import known_recipient
from bolt_app.severity import known_severity

logger = logging.getLogger(__name__)

# The most in one transaction and statement; more become another digest.
MOST_AT_ONCE = 5000
_DELIVERIES = Delivery.__table__
_DUE = (
    Delivery.lane_id == bindparam("held_in"),
    IS_LATER,
    IS_HELD,
    Delivery.send_at <= bindparam("now"),
)
_ITS_SUBSCRIPTION = Subscription.id == Delivery.subscription_id
_END = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(*_DUE)
    .values(finished_at=bindparam("now"), seq=bindparam("new_seq"))
)
_EXPIRE = _END.where(Delivery.expires_at <= bindparam("now")).values(state=EXPIRED_STATE)
_CANCEL = _END.where(
    Delivery.subscription_id.is_not(None),
    ~exists().where(_ITS_SUBSCRIPTION, Subscription.paused.is_(None)),
).values(state=DeliveryState.CANCELLED)
_PUT_OFF = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(*_DUE, exists().where(_ITS_SUBSCRIPTION, Subscription.muted_until > bindparam("now")))
    .values(
        send_at=select(Subscription.muted_until).where(_ITS_SUBSCRIPTION).scalar_subquery(),
        seq=bindparam("new_seq"),
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
# Later deliveries with the same keys that were not held.
_LATER = (
    select(Delivery.key, Delivery.id, Delivery.notification_id)
    .where(
        Delivery.lane_id == bindparam("held_in"),
        Delivery.key.in_(bindparam("keys", expanding=True)),
        Delivery.key.is_not(None),
        Delivery.id > bindparam("first"),
        Delivery.state.in_(MESSAGE_STATES),
        Delivery.mode.not_in((DeliveryMode.REFRESH, DeliveryMode.REMIND, DeliveryMode.ESCALATE)),
    )
    .order_by(Delivery.id)
)
_RELEASE = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(Delivery.id == bindparam("delivery_id"))
    .values(state=DeliveryState.WAITING, seq=bindparam("new_seq"))
)
_CONTENTS = select(Notification.id, content_summary(Notification.content).label("content")).where(
    Notification.id.in_(bindparam("ids", expanding=True))
)
_COVER = _END.values(state=DeliveryState.DIGESTED, digest_id=bindparam("covered_by"))
# A digest goes to the person of the lane, also if an e-mail address is another person's by then.
_DIGEST = _COVER.where(Delivery.id <= bindparam("last")).values(
    recipient_id=bindparam("digest_for")
)
_SUPERSEDE = _COVER.where(Delivery.id == bindparam("delivery_id"))


@dataclass(frozen=True)
class HeldLane:
    """A lane with held deliveries that are due."""

    id: int
    team_id: str
    address: str = field(repr=False)


def release(
    connection: Connection, lane: HeldLane, public_url: str, seq: int, now: datetime
) -> None:
    """Release the due deliveries of a lane.

    Args:
        public_url: base of the pages of notifications.
        seq: the number of the change that this is part of.
    """
    due = {"held_in": lane.id, "now": now, "new_seq": seq}
    for statement in (_EXPIRE, _CANCEL, _PUT_OFF):
        connection.execute(statement, due)
    rows = connection.execute(_HELD, {**due, "most": MOST_AT_ONCE}).all()
    superseded = _superseded(connection, lane, rows)
    if superseded:
        connection.execute(_SUPERSEDE, [{**due, **values} for values in superseded])
    superseded_ids = {values["delivery_id"] for values in superseded}
    released = [row for row in rows if row.id not in superseded_ids]
    if len(released) == 1:
        connection.execute(_RELEASE, {"delivery_id": released[0].id, "new_seq": seq})
    elif released:
        recipient_id = known_recipient(lane.address, lane.address)
        digest_id = _insert_digest(connection, lane, recipient_id, released, public_url, seq, now)
        covered = {"covered_by": digest_id, "digest_for": recipient_id, "last": rows[-1].id}
        connection.execute(_DIGEST, {**due, **covered})
    logger.info("released", extra={"lane": lane.id, "deliveries": len(rows)})


def _superseded(
    connection: Connection, lane: HeldLane, rows: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return the deliveries superseded by a later one with their key, and its notification."""
    keyed = [row for row in rows if row.key is not None and row.mode != DeliveryMode.NEW]
    if not keyed:
        return []
    latest = {row.key: row for row in keyed}
    values = {"held_in": lane.id, "keys": list(latest), "first": keyed[0].id}
    for row in connection.execute(_LATER, values):
        if row.id > latest[row.key].id:
            latest[row.key] = row
    return [
        {"delivery_id": row.id, "covered_by": latest[row.key].notification_id}
        for row in keyed
        if row.id < latest[row.key].id
    ]


def _insert_digest(
    connection: Connection,
    lane: HeldLane,
    recipient_id: str | None,
    rows: Sequence[Any],
    public_url: str,
    seq: int,
    now: datetime,
) -> str:
    """Insert a digest into a lane, and return its notification's id."""
    entries = [_entry(row) for row in rows]

    def find_contents(ids: Sequence[str]) -> Mapping[str, Any]:
        return {row.id: row.content for row in connection.execute(_CONTENTS, {"ids": list(ids)})}

    digest_id = new_id(now)
    notification = {
        "id": digest_id,
        "team_id": lane.team_id,
        "source": SourceKind.DIGEST,
        "content": digest_content(entries, find_contents, public_url),
        "created_at": now,
    }
    subscriptions = [row.subscription_id for row in rows if row.subscription_id is not None]
    delivery = {
        "notification_id": digest_id,
        "team_id": lane.team_id,
        "lane_id": lane.id,
        "seq": seq,
        "target": lane.address,
        "recipient_id": recipient_id,
        # A digest with any delivery of a subscription follows the rules of subscriptions.
        "subscription_id": max(subscriptions, default=None),
        "state": DeliveryState.WAITING,
        "source": SourceKind.DIGEST,
        "rank": 0,
        "urgency": stored_urgency(0, now),
        "mode": DeliveryMode.NEW,
        "on_unknown": OnUnknown.HOLD,
        "send_at": now,
        "attempts": 0,
    }
    connection.execute(insert(Notification), notification)
    connection.execute(insert(Delivery), delivery)
    return digest_id


def _entry(row: Any) -> Entry:
    topics = (row.topics or "").split()
    matching = [topic for topic in topics if matches(row.pattern or "", topic)]
    return Entry(
        notification_id=row.notification_id,
        # A direct notification names no topic: guests are not told which there are.
        topic=next(iter(matching), row.pattern),
        severity=known_severity(row.severity) or DEFAULT_SEVERITY,
        at=row.created_at,
    )
