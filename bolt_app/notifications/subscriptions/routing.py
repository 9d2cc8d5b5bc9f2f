"""Where notifications go: topics to whoever subscribed, names to the channels they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select

from bolt_app.db.models import IS_LATER, IS_WAITING, Channel, Delivery, Lane, Subscription
from bolt_app.notifications.content.modes import ESCALATE
from bolt_app.notifications.content.topics import patterns_for
from bolt_app.notifications.queue.moved_channels import current_ids
from bolt_app.notifications.subscriptions.filters import facts_of
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.store import is_usable, read_subscription
from bolt_app.recipients import topic_of
from bolt_app.workspaces.channel_names import find_named, named_channels

# Read for every notification, and so put together once.
# The channels whose names are known, unless a lane of that name still has something to hand on.
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
# So many names a statement takes; for more, all subscriptions of the workspace are read.
MOST_PATTERNS = 1000
# The states of what stands in a channel, may do so, or comes next.
STANDING = ("waiting", "scheduled", "sending", "sent", "unknown")
# Which keys have a message in which lanes.
_KEYS = (
    select(Lane.address, Delivery.key)
    .join(Delivery, Delivery.lane_id == Lane.id)
    .where(
        Lane.team_id == bindparam("team_id"),
        Lane.address.in_(bindparam("addresses", expanding=True)),
        Delivery.key.in_(bindparam("keys", expanding=True)),
        Delivery.key.is_not(None),
        Delivery.state.in_(bindparam("states", expanding=True)),
        or_(Delivery.mode != ESCALATE, Delivery.state == "sent"),
    )
    .distinct()
)


@dataclass(frozen=True)
class RoutingResult:
    """A notification that looks for its way."""

    to: Sequence[str]
    content: Mapping[str, Any] = field(repr=False)
    key: str | None = None


@dataclass(frozen=True)
class Destination:
    """One way of a notification.

    Attributes:
        address: of a channel or person.
        target: the same, or as it was subscribed.
        mode: what the subscription says of notifications with a key.
        follows: whether it comes only after a message about the same key.
        digest: when what is held comes as one.
    """

    address: str
    target: str
    subscription_id: int | None = None
    mode: str | None = None
    follows: bool = False
    digest: Schedule | None = None


# By the address of the lane.
Route = Mapping[str, Destination]


def route(
    connection: Connection, team_id: str, notifications: Sequence[RoutingResult], now: datetime
) -> list[Route]:
    """Return where each of a workspace's notifications goes.

    Two addresses of one channel, or a topic's and a channel's own, are one delivery.
    """
    subscriptions = _subscriptions(connection, team_id, notifications, now)
    legs = _at_present_ids(
        connection, team_id, [list(_legs(one, subscriptions)) for one in notifications]
    )
    channels = _known_channels(connection, team_id, legs)
    legs = [[_at_its_lane(leg, channels) for leg in each] for each in legs]
    following = {
        (leg.address, one.key)
        for one, each in zip(notifications, legs, strict=True)
        for leg in each
        if leg.follows and one.key is not None
    }
    messages = find_messages(connection, team_id, following, (*STANDING, "held"))
    routes: list[Route] = []
    for one, each in zip(notifications, legs, strict=True):
        lanes: dict[str, Destination] = {}
        for leg in each:
            if not leg.follows or (leg.address, one.key) in messages:
                lanes.setdefault(leg.address, leg)
        routes.append(lanes)
    return routes


def _subscriptions(
    connection: Connection, team_id: str, notifications: Iterable[RoutingResult], now: datetime
) -> Mapping[str, Sequence[Any]]:
    """Return the subscriptions that name a topic among the recipients, by what they name."""
    patterns = {
        pattern
        for one in notifications
        for address in one.to
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


def _legs(one: RoutingResult, subscriptions: Mapping[str, Sequence[Any]]) -> Iterator[Destination]:
    """Yield where a notification is to go; to nowhere where nobody subscribed to its topic."""
    facts = facts_of(one.content)
    for address in one.to:
        topic = topic_of(address)
        if topic is None:
            yield Destination(address, address)
            continue
        for row in _by_id(patterns_for(topic), subscriptions):
            read = read_subscription(row)
            if not is_usable(row, read):
                continue
            wanted = read.filter
            leg = Destination(row.address, row.address, row.id, read.mode, digest=read.digest)
            if wanted.accepts(facts):
                yield leg
            elif one.key is not None and wanted.accepts(facts, whatever_severity=True):
                # What is resolved turns the red message green, though it is not red itself.
                yield replace(leg, follows=True)


def _at_present_ids(
    connection: Connection, team_id: str, legs: Sequence[Sequence[Destination]]
) -> Sequence[Sequence[Destination]]:
    """Return legs with the present ids of channels whose ids have changed."""
    channels = {leg.address for each in legs for leg in each if leg.address[0] in "CG"}
    moved = current_ids(connection, team_id, channels)
    return [[_at_its_lane(leg, moved) for leg in each] for each in legs] if moved else legs


def _by_id(patterns: Iterable[str], subscriptions: Mapping[str, Sequence[Any]]) -> list[Any]:
    rows = [row for pattern in patterns for row in subscriptions.get(pattern, ())]
    return sorted(rows, key=lambda row: row.id)


def _at_its_lane(leg: Destination, channels: Mapping[str, str]) -> Destination:
    return replace(leg, address=channels.get(leg.address, leg.address))


def _known_channels(
    connection: Connection, team_id: str, legs: Iterable[Iterable[Destination]]
) -> Mapping[str, str]:
    """Return the ids of the channels whose names are among the addresses, where they are known.

    While a lane of a name still has something to hand on, what comes later queues behind it.
    """
    names = {leg.address[1:] for each in legs for leg in each if leg.address[0] == "#"}
    found = find_named(connection, team_id, names, _KNOWN_CHANNELS)
    return {f"#{name}": channel_id for name, channel_id in found.items()}


def find_messages(
    connection: Connection,
    team_id: str,
    asked: Set[tuple[str, str]],
    states: Sequence[str] = STANDING,
) -> set[tuple[str, str]]:
    """Return which of the addresses and keys asked for have a delivery in one of these states."""
    if not asked:
        return set()
    addresses, keys = ({one[place] for one in asked} for place in (0, 1))
    values = {
        "team_id": team_id,
        "addresses": list(addresses),
        "keys": list(keys),
        "states": list(states),
    }
    found = connection.execute(_KEYS, values)
    return {(str(address), str(key)) for address, key in found}
