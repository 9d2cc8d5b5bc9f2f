"""Routing: the destinations of notifications, given their recipients and the subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, or_, select

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import IS_LATER, IS_WAITING, Channel, Delivery, Lane, Subscription
from bolt_app.notifications.content.modes import DeliveryMode, Mode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.content.topics import patterns_for
from bolt_app.notifications.queue.moved_channels import current_ids
from bolt_app.notifications.subscriptions.errors import TooManyDeliveriesError
from bolt_app.notifications.subscriptions.filters import facts_of
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.store import is_usable, read_subscription
from bolt_app.recipients import topic_of
from bolt_app.workspaces.channel_names import find_named, named_channels

# Prepared once because they run for every notification.
# The channels with known names, except those whose name's lane still has deliveries to move.
_KNOWN_CHANNELS = named_channels(
    *(
        ~exists().where(
            Lane.team_id == Channel.team_id,
            Lane.address == "#" + Channel.name,
            Delivery.lane_id == Lane.id,
            state,
        )
        for state in (IS_WAITING, IS_LATER)
    )
)
_ALL_SUBSCRIPTIONS = (
    select(
        Subscription.id,
        Subscription.topic,
        Subscription.address,
        Subscription.filter,
        Subscription.mode,
        Subscription.digest,
        Subscription.digest_tz,
    )
    .where(
        Subscription.team_id == bindparam("team_id"),
        Subscription.paused.is_(None),
        or_(Subscription.muted_until.is_(None), Subscription.muted_until <= bindparam("now")),
    )
    .order_by(Subscription.id)
)
_SUBSCRIPTIONS = _ALL_SUBSCRIPTIONS.where(
    Subscription.topic.in_(bindparam("patterns", expanding=True))
)
_ACTIVE = (
    _ALL_SUBSCRIPTIONS.with_only_columns(func.count())
    .where(is_any_of(Subscription.id, "ids"))
    .order_by(None)
)
# The most patterns in one statement; for more, all subscriptions of the workspace are read.
MOST_PATTERNS = 1000
# The states of deliveries whose message is, may be, or will be in Slack.
MESSAGE_STATES = (
    DeliveryState.WAITING,
    DeliveryState.SCHEDULED,
    DeliveryState.SENDING,
    DeliveryState.SENT,
    DeliveryState.UNKNOWN,
)
# Lanes with a message about a key, which may have had any number of deliveries there.
_LANES = select(Lane.address).where(
    Lane.team_id == bindparam("team_id"),
    is_any_of(Lane.address, "addresses"),
    exists().where(
        Delivery.lane_id == Lane.id,
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.state.in_(bindparam("states", expanding=True)),
        or_(Delivery.mode != DeliveryMode.ESCALATE, Delivery.state == DeliveryState.SENT),
    ),
)


@dataclass(frozen=True)
class RoutingRequest:
    """A notification to be routed to recipients."""

    recipients: Sequence[str] = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    key: str | None = None


@dataclass(frozen=True)
class Destination:
    """A destination of one notification.

    Attributes:
        address: of its lane: a channel or person.
        target: the recipient as the sender or the subscription names it.
        mode: the subscription's mode for notifications with a key.
        needs_message: whether it applies only where a message with the same key exists.
        digest: the subscription's digest schedule.
    """

    address: str = field(repr=False)
    target: str = field(repr=False)
    subscription_id: int | None = None
    mode: Mode | None = None
    needs_message: bool = False
    digest: Schedule | None = None


def route(
    connection: Connection,
    team_id: str,
    requests: Sequence[RoutingRequest],
    now: datetime,
    *,
    most: int | None = None,
) -> list[list[Destination]]:
    """Return the destinations of each of a workspace's notifications.

    Recipients that lead to the same channel make one destination, and topics another one.

    Args:
        most: the most destinations of all of them.

    Raises:
        TooManyDeliveriesError: there are more.
    """
    subscriptions = _subscriptions(connection, team_id, requests, now)
    routes = _with_current_ids(
        connection, team_id, _all_destinations(requests, subscriptions, most)
    )
    channels = _known_channels(connection, team_id, routes)
    routes = [_with_addresses(destinations, channels) for destinations in routes]
    conditional = {
        (destination.address, request.key)
        for request, destinations in zip(requests, routes, strict=True)
        for destination in destinations
        if destination.needs_message and request.key is not None
    }
    states = (*MESSAGE_STATES, DeliveryState.HELD)
    messages = find_messages(connection, team_id, conditional, states)
    result = []
    for request, destinations in zip(requests, routes, strict=True):
        by_lane: dict[tuple[str, bool], Destination] = {}
        for one in destinations:
            if not one.needs_message or (one.address, request.key) in messages:
                by_lane.setdefault((one.address, one.subscription_id is None), one)
        result.append(list(by_lane.values()))
    return result


def are_active(
    connection: Connection, team_id: str, subscription_ids: Collection[int], now: datetime
) -> bool:
    """Whether all of some subscriptions exist, and are neither paused nor muted."""
    values = {"team_id": team_id, "ids": list(subscription_ids), "now": now}
    return connection.execute(_ACTIVE, values).scalar_one() == len(subscription_ids)


def _subscriptions(
    connection: Connection, team_id: str, requests: Iterable[RoutingRequest], now: datetime
) -> Mapping[str, Sequence[Any]]:
    """Return the active subscriptions to the topics among the recipients, by their pattern."""
    patterns = {
        pattern
        for request in requests
        for address in request.recipients
        if (topic := topic_of(address)) is not None
        for pattern in patterns_for(topic)
    }
    found: dict[str, list[Any]] = {}
    if patterns:
        values = {"team_id": team_id, "now": now}
        if len(patterns) > MOST_PATTERNS:
            rows = connection.execute(_ALL_SUBSCRIPTIONS, values)
        else:
            rows = connection.execute(_SUBSCRIPTIONS, {**values, "patterns": list(patterns)})
        for row in rows:
            found.setdefault(row.topic, []).append(row)
    return found


def _all_destinations(
    requests: Sequence[RoutingRequest],
    subscriptions: Mapping[str, Sequence[Any]],
    most: int | None,
) -> list[list[Destination]]:
    routes, number = [], 0
    for request in requests:
        found = list(_destinations(request, subscriptions))
        number += len(found)
        if most is not None and number > most:
            raise TooManyDeliveriesError(most)
        routes.append(found)
    return routes


def _destinations(
    request: RoutingRequest, subscriptions: Mapping[str, Sequence[Any]]
) -> Iterator[Destination]:
    """Yield the destinations of a notification; none for a topic without subscriptions."""
    facts = facts_of(request.content)
    used: set[str] = set()
    for address in request.recipients:
        topic = topic_of(address)
        if topic is None:
            yield Destination(address, address)
            continue
        # Topics have patterns in common, which lead to the same destinations.
        patterns = [pattern for pattern in patterns_for(topic) if pattern not in used]
        used.update(patterns)
        for row in _by_id(patterns, subscriptions):
            read = read_subscription(row)
            if not is_usable(row, read):
                continue
            found = Destination(row.address, row.address, row.id, read.mode, digest=read.digest)
            if read.filter.accepts(facts):
                yield found
            elif request.key is not None and read.filter.accepts(facts, any_severity=True):
                # A resolution turns the earlier message green, although its own severity is low.
                yield replace(found, needs_message=True)


def _with_current_ids(
    connection: Connection, team_id: str, routes: Sequence[Sequence[Destination]]
) -> Sequence[Sequence[Destination]]:
    """Return routes with the current ids of channels whose ids have changed."""
    channels = {one.address for route in routes for one in route if one.address[0] in "CG"}
    moved = current_ids(connection, team_id, channels)
    return [_with_addresses(route, moved) for route in routes] if moved else routes


def _by_id(patterns: Iterable[str], subscriptions: Mapping[str, Sequence[Any]]) -> list[Any]:
    rows = [row for pattern in patterns for row in subscriptions.get(pattern, ())]
    return sorted(rows, key=lambda row: row.id)


def _with_addresses(
    destinations: Sequence[Destination], addresses: Mapping[str, str]
) -> list[Destination]:
    return [replace(one, address=addresses.get(one.address, one.address)) for one in destinations]


def _known_channels(
    connection: Connection, team_id: str, routes: Iterable[Iterable[Destination]]
) -> Mapping[str, str]:
    """Return the ids of known channels among the addresses, by `#name`.

    While a name's lane still has deliveries to move, new ones queue behind them.
    """
    names = {one.address[1:] for route in routes for one in route if one.address[0] == "#"}
    found = find_named(connection, team_id, names, _KNOWN_CHANNELS)
    return {f"#{name}": channel_id for name, channel_id in found.items()}


def find_messages(
    connection: Connection,
    team_id: str,
    candidates: Set[tuple[str, str]],
    states: Sequence[str] = MESSAGE_STATES,
) -> set[tuple[str, str]]:
    """Return the lanes and keys with a delivery in one of the states.

    Args:
        candidates: the addresses and keys to look for.
    """
    by_key: dict[str, list[str]] = {}
    for address, key in candidates:
        by_key.setdefault(key, []).append(address)
    values = {"team_id": team_id, "states": list(states)}
    return {
        (str(address), key)
        for key, addresses in by_key.items()
        for address in connection.scalars(_LANES, {**values, "key": key, "addresses": addresses})
    }
