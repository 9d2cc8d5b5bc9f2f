"""Stored messages of the Slack-compatible Web API: deliveries with a provisional `ts`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select, update

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import IS_CHANGE, IS_LATER, IS_PENDING, Delivery, Lane, Notification
from bolt_app.notifications.content.modes import CHANGES, DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.queue.cancellation import MAY_GO_OUT, cancelled

PENDING = frozenset({DeliveryState.WAITING, DeliveryState.SCHEDULED, DeliveryState.HELD})
_MESSAGES = (
    select(
        Delivery.id,
        Delivery.notification_id,
        Delivery.lane_id,
        Delivery.target,
        Delivery.state,
        Delivery.source,
        Delivery.key,
        Delivery.urgency,
        Delivery.on_unknown,
        Delivery.send_at,
        Delivery.channel_id,
        Delivery.ts,
        Delivery.provisional_ts,
        Lane.address,
    )
    .join(Lane, Lane.id == Delivery.lane_id)
    .join(Notification, Notification.id == Delivery.notification_id)
    .where(
        Delivery.team_id == bindparam("team_id"),
        Delivery.provisional_ts.is_not(None),
        is_any_of(Notification.source, "sources"),
    )
)
_PROVISIONAL = _MESSAGES.where(Delivery.provisional_ts == bindparam("ts"))
_IN_SLACK = _MESSAGES.where(
    is_any_of(Delivery.channel_id, "addresses"),
    Delivery.ts == bindparam("ts"),
    Delivery.ts.is_not(None),
)
_SCHEDULED = (
    _MESSAGES.where(IS_LATER, Delivery.state == DeliveryState.SCHEDULED)
    .order_by(Delivery.send_at, Delivery.id)
    .limit(bindparam("most"))
)
# As `Message.addresses`.
_SCHEDULED_AT = _SCHEDULED.where(
    or_(
        is_any_of(Lane.address, "addresses"),
        is_any_of(Delivery.channel_id, "addresses"),
        and_(
            is_any_of(Delivery.target, "addresses"),
            ~Delivery.target.startswith("#"),
        ),
    )
)
_CHANGES_OF = (
    Delivery.lane_id == bindparam("of_lane"),
    Delivery.key == bindparam("of_key"),
    Delivery.key.is_not(None),
)
# Sorted by mode instead of selecting one: only the index of changes has this order, and PostgreSQL
# may take the index of all deliveries of the key, or that of ids, for any other.
_FIRST_CHANGE = (
    select(Delivery.mode)
    .where(
        *_CHANGES_OF,
        IS_CHANGE,
        Delivery.state.in_((DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.SENT)),
    )
    .order_by(Delivery.mode, Delivery.id)
    .limit(1)
)
_LATEST_EDIT = (
    select(case((Delivery.mode == DeliveryMode.EDIT, Delivery.notification_id)))
    .where(*_CHANGES_OF, IS_CHANGE)
    .order_by(Delivery.mode.desc(), Delivery.id.desc())
    .limit(1)
    .scalar_subquery()
)
_LATEST_CONTENT = select(Notification.content).where(
    Notification.id == func.coalesce(_LATEST_EDIT, bindparam("notification_id"))
)
# Not sorted: for the order SQLite would read an index of all deliveries of the key.
_PENDING_EDITS = select(Delivery.id, Delivery.notification_id).where(
    *_CHANGES_OF, IS_PENDING, Delivery.mode == DeliveryMode.EDIT
)
_PENDING_CHANGES = update(Delivery).where(
    *_CHANGES_OF,
    IS_PENDING,
    Delivery.mode.in_(CHANGES),
)


@dataclass(frozen=True)
class Message:
    """A message of the Slack-compatible Web API.

    Attributes:
        id: of its delivery.
        address: of its lane.
        target: the recipient as the sender named it.
        key: which its changes share.
        channel_id, ts: in Slack; None while it is not posted.
        provisional_ts: names it for its sender.
    """

    id: int
    notification_id: str
    lane_id: int
    target: str = field(repr=False)
    state: str
    source: str
    key: str = field(repr=False)
    urgency: int
    on_unknown: str
    send_at: datetime
    channel_id: str | None
    ts: str | None
    provisional_ts: str
    address: str = field(repr=False)

    @property
    def addresses(self) -> frozenset[str]:
        """The ids and names by which its channel or person is known."""
        # Another channel may have the name that the sender wrote.
        target = None if self.target.startswith("#") else self.target
        return frozenset(filter(None, (self.address, target, self.channel_id)))


def find_message(
    connection: Connection,
    team_id: str,
    sources: Collection[str],
    addresses: Collection[str],
    ts: str,
) -> Message | None:
    """Return the message with a `ts`, provisional or Slack's, at one of the addresses.

    Args:
        sources: the credentials whose messages may be found.
    """
    values = {"team_id": team_id, "sources": list(sources), "ts": ts}
    row = connection.execute(_PROVISIONAL, values).first()
    # Slack may give the same ts to a message of another channel.
    if row is not None and (message := _message(row)).addresses & set(addresses):
        return message
    row = connection.execute(_IN_SLACK, {**values, "addresses": list(addresses)}).first()
    return None if row is None else _message(row)


def find_scheduled(
    connection: Connection,
    team_id: str,
    sources: Collection[str],
    addresses: Collection[str] | None,
    most: int,
) -> list[Message]:
    """Return the first scheduled messages of credentials, by the time they are due.

    Args:
        addresses: one of them must be the message's; None: any may be.
    """
    values: dict[str, Any] = {"team_id": team_id, "sources": list(sources), "most": most}
    if addresses is None:
        rows = connection.execute(_SCHEDULED, values)
    else:
        rows = connection.execute(_SCHEDULED_AT, {**values, "addresses": list(addresses)})
    return [_message(row) for row in rows]


def latest_content(connection: Connection, message: Message) -> Mapping[str, Any]:
    """Return the content that a message has after all of its accepted changes."""
    values = {**_changes_of(message), "notification_id": message.notification_id}
    content: Mapping[str, Any] = connection.scalars(_LATEST_CONTENT, values).one()
    return content


def is_deleted(connection: Connection, message: Message) -> bool:
    """Whether a message is deleted, or its deletion is accepted."""
    # "delete" precedes "edit".
    return bool(connection.scalar(_FIRST_CHANGE, _changes_of(message)) == DeliveryMode.DELETE)


def find_pending_edits(connection: Connection, message: Message) -> Sequence[Any]:
    """Return the edits of a message that have not begun: their id and notification, by id."""
    return sorted(connection.execute(_PENDING_EDITS, _changes_of(message)))


def point_to(connection: Connection, delivery_id: int, notification_id: str, seq: int) -> bool:
    """Let a delivery that has not begun deliver another notification, in its place in the queue.

    Its content could not be changed instead: a begin that reads the row at the same time could
    still see the former one.

    Returns: whether it had not begun.
    """
    pending = update(Delivery).where(Delivery.id == delivery_id, IS_PENDING)
    # An attempt with the former content may have found the person of an e-mail address.
    recipient_id = case((Delivery.target.startswith("@"), None), else_=Delivery.recipient_id)
    # It becomes a delivery of the notification's sender.
    changed = {"notification_id": notification_id, "changed_by": None, "seq": seq}
    return connection.execute(pending.values(**changed, recipient_id=recipient_id)).rowcount > 0


def end_pending(connection: Connection, delivery_id: int, values: Mapping[str, Any]) -> bool:
    """End a delivery that has not begun; return whether it had not.

    Args:
        values: its columns, with the number of the change.
    """
    pending = update(Delivery).where(Delivery.id == delivery_id, IS_PENDING).values(values)
    return connection.execute(pending).rowcount > 0


def cancel(connection: Connection, delivery_id: int, now: datetime, seq: int) -> bool:
    """Cancel a delivery; one that was attempted does not go out again by itself.

    Returns: whether it ended before it was attempted.
    """
    delivery = update(Delivery).where(Delivery.id == delivery_id, MAY_GO_OUT)
    changed = delivery.values(cancelled(now, seq)).returning(Delivery.state)
    return connection.scalar(changed) == DeliveryState.CANCELLED


def end_pending_changes(
    connection: Connection, message: Message, values: Mapping[str, Any]
) -> None:
    """End the changes of a message that have not begun.

    Args:
        values: their columns, with the number of the change.
    """
    connection.execute(_PENDING_CHANGES.values(values), _changes_of(message))


def _changes_of(message: Message) -> Mapping[str, Any]:
    return {"of_lane": message.lane_id, "of_key": message.key}


def _message(row: Any) -> Message:
    return Message(**row._asdict())
