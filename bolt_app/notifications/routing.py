"""Where notifications go: topics to whoever subscribed, names to the channels they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, select

from bolt_app.db.models import Channel, Lane, Subscription
from bolt_app.notifications.addresses import topic_of

# Read for every notification, and so put together once.
# The channels whose names are known, unless a lane of that name still has something to hand on.
_KNOWN_CHANNELS = (
    select(Channel.name, Channel.channel_id)
    .outerjoin(
        Lane,
        and_(
            Lane.team_id == Channel.team_id,
            Lane.address == "#" + Channel.name,
            Lane.wake_at.is_not(None),
        ),
    )
    .where(
        Channel.team_id == bindparam("team_id"),
        Channel.name.in_(bindparam("names", expanding=True)),
        Lane.id.is_(None),
    )
)
_SUBSCRIPTIONS = (
    select(Subscription.topic, Subscription.address)
    .where(
        Subscription.team_id == bindparam("team_id"),
        Subscription.topic.in_(bindparam("topics", expanding=True)),
    )
    .order_by(Subscription.id)
)
# The address of each lane, with the address of a recipient that leads there.
Route = Mapping[str, str]


def route(connection: Connection, team_id: str, recipients: Sequence[Sequence[str]]) -> list[Route]:
    """Return where each of a workspace's notifications goes.

    Two addresses of one channel, or a topic's and a channel's own, are one delivery.
    """
    subscribers = _subscribers(connection, team_id, recipients)
    reached = [
        [one for to in addresses for one in subscribers.get(to, (to,))] for addresses in recipients
    ]
    channels = _known_channels(connection, team_id, reached)
    routes: list[Route] = []
    for addresses in reached:
        lanes: dict[str, str] = {}
        for address in addresses:
            lanes.setdefault(channels.get(address, address), address)
        routes.append(lanes)
    return routes


def _subscribers(
    connection: Connection, team_id: str, recipients: Iterable[Iterable[str]]
) -> Mapping[str, Sequence[str]]:
    """Return where the topics among the recipients lead; to nowhere where nobody subscribed."""
    found: dict[str, list[str]] = {}
    topics: dict[str, str] = {}
    for addresses in recipients:
        for address in addresses:
            topic = topic_of(address)
            if topic is not None:
                topics[topic] = address
                found[address] = []
    if topics:
        values = {"team_id": team_id, "topics": list(topics)}
        for topic, address in connection.execute(_SUBSCRIPTIONS, values):
            found[topics[topic]].append(address)
    return found


def _known_channels(
    connection: Connection, team_id: str, recipients: Iterable[Iterable[str]]
) -> Mapping[str, str]:
    """Return the ids of the channels whose names are among the recipients, where they are known.

    While a lane of a name still has something to hand on, what comes later queues behind it.
    """
    names = {one[1:] for addresses in recipients for one in addresses if one[0] == "#"}
    if not names:
        return {}
    rows = connection.execute(_KNOWN_CHANNELS, {"team_id": team_id, "names": list(names)})
    return {f"#{name}": channel_id for name, channel_id in rows}
