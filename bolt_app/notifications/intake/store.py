"""Rows of accepted notifications and their deliveries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Delivery, Notification
from bolt_app.notifications.content.modes import FOLLOW_UPS
from bolt_app.notifications.content.states import DeliveryState, ShownState
from bolt_app.notifications.digests.hold import Row
from bolt_app.notifications.intake.results import (
    NewDelivery,
    NewNotification,
)
from bolt_app.notifications.queue.lanes import ensure_lanes, lane_id_of

# Prepared once because they run for every notification. The inserts take many rows at once, which
# the drivers send in one round trip.
_INSERT_NOTIFICATIONS = insert(Notification.__table__)  # type: ignore[arg-type]
_INSERT_DELIVERIES = insert(Delivery.__table__).values(  # type: ignore[arg-type]
    lane_id=lane_id_of(bindparam("lane_team_id"), bindparam("lane_address")),
    team_id=bindparam("lane_team_id"),
)
_INSERT_DELIVERY = _INSERT_DELIVERIES.returning(Delivery.id)
_DELIVERIES = (
    select(
        Delivery.notification_id,
        Delivery.id,
        Delivery.target,
        Delivery.state,
        Delivery.provisional_ts,
        Delivery.subscription_id,
    )
    .where(
        is_any_of(Delivery.notification_id, "ids"),
        Delivery.mode.not_in(FOLLOW_UPS),
    )
    .order_by(Delivery.id)
)
# A repeated request gets the states of the first response.
_INITIAL_STATES: Mapping[str, ShownState] = {
    DeliveryState.HELD: ShownState.HELD,
    DeliveryState.DIGESTED: ShownState.HELD,
    DeliveryState.MUTED: ShownState.MUTED,
}


def insert_notifications(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert notifications."""
    connection.execute(_INSERT_NOTIFICATIONS, rows)


def insert_deliveries(
    connection: Connection, notification_ids: Sequence[str], rows: Sequence[Row]
) -> Iterator[NewNotification]:
    """Insert deliveries, creating missing lanes.

    The workspace must be locked by now, so that ids grow in the order of commits.

    Returns: the accepted notifications, in the order of `notification_ids`.
    """
    ensure_lanes(connection, {(row["lane_team_id"], row["lane_address"]) for row in rows})
    if len(rows) == 1:
        [row] = rows
        delivery_id = connection.execute(_INSERT_DELIVERY, row).scalar_one()
        found = {row["notification_id"]: [_delivery(delivery_id, row)]}
    elif rows:
        connection.execute(_INSERT_DELIVERIES, rows)
        found = find_deliveries(connection, notification_ids)
    else:
        found = {}
    return (NewNotification(id_, found.get(id_, ())) for id_ in notification_ids)


def find_deliveries(
    connection: Connection, notification_ids: Sequence[str]
) -> dict[str, list[NewDelivery]]:
    """Return the deliveries that notifications were accepted with, by the notification's id."""
    found: dict[str, list[NewDelivery]] = {}
    for row in connection.execute(_DELIVERIES, {"ids": notification_ids}).mappings():
        found.setdefault(row["notification_id"], []).append(_delivery(row["id"], row))
    return found


def _delivery(id_: int, row: Any) -> NewDelivery:
    state = _INITIAL_STATES.get(row["state"], ShownState.WAITING)
    is_subscribed = row["subscription_id"] is not None
    return NewDelivery(id_, row["target"], state, row["provisional_ts"], is_subscribed)
