"""Channels with a new id: everything that is stored with the old one follows.

A private channel gets another id when it is shared with another organization, and Slack knows the
old one no longer (https://docs.slack.dev/reference/events/channel_id_changed). Events arrive late,
out of order and repeatedly, so every move is kept: an old id that is named later means the new one.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from bolt_app.db.models import (
    IS_TROUBLED,
    ApiKey,
    Channel,
    ChannelMove,
    Delivery,
    Hook,
    Incident,
    Lane,
    Subscription,
    UserInstallation,
)
from bolt_app.notifications.content.modes import ESCALATE, REMIND
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.lanes import ensure_lanes, lane_id_of, pending_in
from bolt_app.notifications.queue.retrying import waiting_again

NOT_FOUND = "channel_not_found"
# Longer than Slack repeats an event that was not received.
REVIVED_WITHIN = timedelta(days=1)
_MOVES = select(ChannelMove.old_id, ChannelMove.new_id).where(
    ChannelMove.team_id == bindparam("team_id"),
    ChannelMove.old_id.in_(bindparam("ids", expanding=True)),
)


def current_ids(connection: Connection, team_id: str, ids: Collection[str]) -> dict[str, str]:
    """Return the present ids of those channels that have moved."""
    if not ids:
        return {}
    rows = connection.execute(_MOVES, {"team_id": team_id, "ids": [*ids]})
    return {row.old_id: row.new_id for row in rows}


def move_channel(
    connection: Connection, team_id: str, old_id: str, new_id: str, now: datetime
) -> None:
    """Record the new id of a channel, and let everything stored with the old one follow."""
    seq = begin_change(connection, [team_id])[team_id]
    new_id = _record(connection, team_id, old_id, new_id)
    if new_id == old_id:
        return
    _move_deliveries(connection, team_id, old_id, new_id, seq, now)
    _move_subscriptions(connection, team_id, old_id, new_id)
    _move_listed(connection, team_id, old_id, new_id)
    _move_senders(connection, team_id, old_id, new_id)
    webhooks = update(UserInstallation).where(
        UserInstallation.team_id == team_id,
        UserInstallation.incoming_webhook_channel_id == old_id,
    )
    connection.execute(webhooks.values(incoming_webhook_channel_id=new_id))


def follow_move(connection: Connection, team_id: str, old_id: str, now: datetime) -> bool:
    """Move what was stored with an old id after the channel moved; return whether it has moved."""
    new_id = current_ids(connection, team_id, [old_id]).get(old_id)
    if new_id is None:
        return False
    move_channel(connection, team_id, old_id, new_id, now)
    return True


def _record(connection: Connection, team_id: str, old_id: str, new_id: str) -> str:
    """Keep a move, and return the id that the channel has after all moves that are known."""
    mine = ChannelMove.team_id == team_id
    # The channel has its former id again.
    back = and_(ChannelMove.old_id == new_id, ChannelMove.new_id == old_id)
    connection.execute(delete(ChannelMove).where(mine, back))
    new_id = current_ids(connection, team_id, [new_id]).get(new_id, new_id)
    if new_id == old_id:
        return new_id
    connection.execute(delete(ChannelMove).where(mine, ChannelMove.old_id == old_id))
    row = {"team_id": team_id, "old_id": old_id, "new_id": new_id}
    connection.execute(insert(ChannelMove).values(row))
    earlier = update(ChannelMove).where(mine, ChannelMove.new_id == old_id)
    connection.execute(earlier.values(new_id=new_id))
    return new_id


def _move_deliveries(
    connection: Connection, team_id: str, old_id: str, new_id: str, seq: int, now: datetime
) -> None:
    """Move the lane, its messages and what is still to go out; revive what was lost meanwhile."""
    posted = (Delivery.team_id == team_id, Delivery.channel_id == old_id, Delivery.ts.is_not(None))
    moved = update(Delivery).where(*posted).values(channel_id=new_id, permalink=None)
    connection.execute(moved)
    lane_id = connection.scalar(select(lane_id_of(team_id, old_id)))
    if lane_id is None:
        return
    lost = update(Delivery).where(
        Delivery.lane_id == lane_id,
        IS_TROUBLED,
        Delivery.error == NOT_FOUND,
        Delivery.finished_at > now - REVIVED_WITHIN,
        or_(Delivery.expires_at.is_(None), Delivery.expires_at > now),
        ~_is_answered(team_id),
    )
    connection.execute(lost.values({**waiting_again(now), "seq": seq}))
    there = case((Delivery.channel_id == old_id, new_id), else_=Delivery.channel_id)
    pending = update(Delivery).where(pending_in(lane_id))
    connection.execute(pending.values(channel_id=there, seq=seq, retry_at=None))
    if connection.scalar(select(lane_id_of(team_id, new_id))) is None:
        # A delivery that is being sent keeps its lane and its order.
        connection.execute(update(Lane).where(Lane.id == lane_id).values(address=new_id))
        return
    ensure_lanes(connection, [(team_id, new_id)])
    mine = update(Delivery).where(Delivery.lane_id == lane_id)
    connection.execute(mine.values(lane_id=lane_id_of(team_id, new_id)))


def _is_answered(team_id: str) -> ColumnElement[bool]:
    """Return the condition for what was to follow an incident, which changed after that failed."""
    incident = (Incident.team_id == team_id, Incident.key == Delivery.key)
    has_changed = exists().where(*incident, Incident.changed_at > Delivery.finished_at)
    return and_(Delivery.mode.in_((ESCALATE, REMIND)), has_changed)


def _move_subscriptions(connection: Connection, team_id: str, old_id: str, new_id: str) -> None:
    there = select(Subscription.topic).where(
        Subscription.team_id == team_id, Subscription.address == new_id
    )
    mine = (Subscription.team_id == team_id, Subscription.address == old_id)
    # Subscriptions of the new id stay as they are.
    connection.execute(delete(Subscription).where(*mine, Subscription.topic.in_(there)))
    connection.execute(update(Subscription).where(*mine).values(address=new_id))


def _move_listed(connection: Connection, team_id: str, old_id: str, new_id: str) -> None:
    mine = (Channel.team_id == team_id, Channel.channel_id == old_id)
    listed = select(Channel.name).where(Channel.team_id == team_id, Channel.channel_id == new_id)
    if connection.execute(listed).first() is not None:
        connection.execute(delete(Channel).where(*mine))
    connection.execute(update(Channel).where(*mine).values(channel_id=new_id))


def _move_senders(connection: Connection, team_id: str, old_id: str, new_id: str) -> None:
    """Let webhooks lead to the new id; keys with a limit may name both."""
    hooks = select(Hook.id, Hook.target).where(Hook.team_id == team_id)
    for id_, target in connection.execute(hooks).all():
        if old_id in target.split():
            moved = dict.fromkeys(new_id if one == old_id else one for one in target.split())
            mine = update(Hook).where(Hook.id == id_)
            connection.execute(mine.values(target=" ".join(moved)))
    keys = select(ApiKey.id, ApiKey.channels).where(ApiKey.team_id == team_id)
    for id_, channels in connection.execute(keys).all():
        if old_id in channels.split():
            both = dict.fromkeys([*channels.split(), new_id])
            mine = update(ApiKey).where(ApiKey.id == id_)
            connection.execute(mine.values(channels=" ".join(both)))
