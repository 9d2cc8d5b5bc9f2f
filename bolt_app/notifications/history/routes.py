"""Routes: the addresses that the deliveries of a notification go to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, func, not_, select

from bolt_app.db.models import Delivery, Lane, Notification, NotificationFile
from bolt_app.notifications.content.states import OPEN_STATES
from bolt_app.notifications.history.publication import HAS_ARRIVED, IS_PUBLISHED, IS_WITHDRAWN
from bolt_app.workspaces.channel_names import find_named


@dataclass(frozen=True)
class DeliveryRoutes:
    """The addresses of a notification's deliveries, by delivery id.

    Attributes:
        stored: the addresses of their lanes.
        addresses: the same, with the ids of known channels instead of their names.
        published: the ids of deliveries that make the notification visible at their destination.
        withdrawn: the ids of cancelled deliveries.
        expected: the ids of deliveries of subscriptions that have not arrived.
    """

    stored: Mapping[int, str]
    addresses: Mapping[int, str] = field(repr=False)
    published: Collection[int]
    withdrawn: Collection[int]
    expected: Collection[int]


def with_channel_ids(
    connection: Connection, team_id: str, addresses: Mapping[int, str]
) -> dict[int, str]:
    """Return the addresses, with the ids of known channels instead of their names."""
    names = {address[1:] for address in addresses.values() if address.startswith("#")}
    known = find_named(connection, team_id, names)
    return {
        id_: known.get(address[1:], address) if address.startswith("#") else address
        for id_, address in addresses.items()
    }


def find_audiences(connection: Connection, file_id: str, most: int) -> Sequence[Any]:
    """Return the notifications with a file, once for each audience that they differ in.

    Whether a person may see a notification depends on nothing else than these columns: one of
    `oldest` and `newest` is as visible as the other, to the people at that address.
    """
    is_open = Delivery.state.in_(OPEN_STATES)
    is_expected = and_(Delivery.subscription_id.is_not(None), not_(HAS_ARRIVED))
    audience = (Lane.address, Notification.source, IS_PUBLISHED, IS_WITHDRAWN, is_expected, is_open)
    oldest = func.min(Notification.id).label("oldest")
    statement = (
        select(oldest, func.max(Notification.id).label("newest"))
        .select_from(NotificationFile)
        .join(Notification, Notification.id == NotificationFile.notification_id)
        .join(Delivery, Delivery.notification_id == Notification.id, isouter=True)
        .join(Lane, Lane.id == Delivery.lane_id, isouter=True)
        .where(NotificationFile.file_id == file_id)
        .group_by(*audience)
        .order_by(oldest)
        .limit(most)
    )
    return connection.execute(statement).all()


def find_routes(connection: Connection, ids: Sequence[str]) -> Sequence[Any]:
    """Return the deliveries of notifications, with address and publication."""
    if not ids:
        return []
    statement = (
        select(
            Delivery.id,
            Delivery.notification_id,
            Delivery.state,
            Lane.address,
            IS_PUBLISHED.label("is_published"),
            IS_WITHDRAWN.label("is_withdrawn"),
            and_(Delivery.subscription_id.is_not(None), not_(HAS_ARRIVED)).label("is_expected"),
        )
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.notification_id.in_(ids))
    )
    return connection.execute(statement).all()
