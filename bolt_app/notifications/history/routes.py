"""Routes: the addresses that the deliveries of a notification go to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Channel, Delivery, Lane, Notification, NotificationFile
from bolt_app.notifications.content.states import FAILED_STATES, OPEN_STATES, DeliveryState
from bolt_app.notifications.history.publication import IS_EXPECTED, IS_PUBLISHED, IS_WITHDRAWN
from bolt_app.notifications.history.store import Condition
from bolt_app.slack_ids import is_channel
from bolt_app.workspaces.channel_names import find_named
from bolt_app.workspaces.channels import IS_PUBLIC


@dataclass(frozen=True)
class DeliveryRoutes:
    """The addresses of a notification's deliveries, by delivery id.

    Attributes:
        stored: the channels of their lanes, or their recipients, as far as they are known.
        addresses: the same, with the ids of known channels instead of their names while a delivery
            is open.
        named: the channels that have the names now to which deliveries were sent.
        published: the ids of deliveries that make the notification visible at their destination.
        withdrawn: the ids of deliveries that only the sender and admins may see.
        expected: the ids of deliveries of subscriptions that have not arrived.
    """

    stored: Mapping[int, str]
    addresses: Mapping[int, str] = field(repr=False)
    named: Mapping[int, str]
    published: Collection[int]
    withdrawn: Collection[int]
    expected: Collection[int]

    def places(self) -> set[str]:
        """Return all addresses, of which a person may see some."""
        return {*self.addresses.values(), *self.named.values()}


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
    states = (
        Delivery.state.in_(OPEN_STATES),
        Delivery.state.in_(FAILED_STATES),
    )
    publication = (IS_PUBLISHED, IS_WITHDRAWN, IS_EXPECTED, *states)
    audience = (Lane.address, Delivery.recipient_id, Notification.source, *publication)
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


def find_published(
    connection: Connection,
    team_id: str,
    ids: Collection[str],
    channels: Collection[str],
    *,
    person_id: str | None = None,
    with_public: bool = False,
    with_expected: bool = True,
    only_sent: bool = False,
) -> set[str]:
    """Return the notifications, among some of a workspace, that are published at some channels.

    The database decides, because a notification may have thousands of deliveries.

    Args:
        person_id: a person, whose direct messages count too.
        with_public: whether the public channels of the last listing are such channels too.
        with_expected: whether what a subscription of the person has not delivered counts.
        only_sent: whether they must have been posted there.
    """
    is_named: ColumnElement[bool] = is_any_of(Lane.address, values=[*filter(is_channel, channels)])
    if with_public:
        public = select(Channel.channel_id).where(Channel.team_id == team_id, IS_PUBLIC)
        is_named = or_(is_named, Lane.address.in_(public))
    lanes = select(Lane.id).where(Lane.team_id == team_id, is_named)
    is_there: ColumnElement[bool] = Delivery.lane_id.in_(lanes)
    if person_id is not None:
        is_direct: ColumnElement[bool] = Delivery.recipient_id == person_id
        is_there = or_(is_there, is_direct if with_expected else and_(is_direct, ~IS_EXPECTED))
    statement = (
        select(Delivery.notification_id)
        .where(
            Delivery.notification_id.in_(ids),
            Delivery.team_id == team_id,
            is_there,
            IS_PUBLISHED,
        )
        .distinct()
    )
    if only_sent:
        statement = statement.where(Delivery.state == DeliveryState.SENT)
    return set(connection.scalars(statement))


def find_unrouted(connection: Connection, ids: Collection[str]) -> set[str]:
    """Return the notifications, among those given, without any delivery."""
    is_routed = select(Delivery.id).where(Delivery.notification_id == Notification.id).exists()
    return set(
        connection.scalars(select(Notification.id).where(Notification.id.in_(ids), ~is_routed))
    )


def shown_address(row: Any) -> str | None:
    """Return the channel of a delivery's lane, or its recipient, if they are known.

    Args:
        row: of `find_routes`.
    """
    address: str = row.address
    recipient_id: str | None = row.recipient_id
    return address if address.startswith("#") or is_channel(address) else recipient_id


def find_routes(
    connection: Connection, notification_id: str, *conditions: Condition
) -> Sequence[Any]:
    """Return those deliveries of a notification, with address, recipient and publication."""
    statement = (
        select(
            Delivery.id,
            Lane.address,
            Delivery.recipient_id,
            IS_PUBLISHED.label("is_published"),
            IS_WITHDRAWN.label("is_withdrawn"),
            IS_EXPECTED.label("is_expected"),
        )
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.notification_id == notification_id, *conditions)
    )
    return connection.execute(statement).all()
