"""Channels whose id has changed: rows with the old id move to the new one.

A private channel gets another id when it is shared with another organization, and Slack rejects the
old one from then on (https://docs.slack.dev/reference/events/channel_id_changed). Events arrive
late, out of order and repeatedly, so every move is stored: a later use of the old id means the new.
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
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from bolt_app.credentials.records import lock_credentials
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import (
    IS_SENDING,
    IS_TROUBLED,
    ApiKey,
    Channel,
    ChannelMove,
    Delivery,
    Lane,
    Subscription,
    UserInstallation,
    Webhook,
)
from bolt_app.notifications.content.modes import DeliveryMode, OnUnknown
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.queue.change_feed import begin_change, lock_subscriptions
from bolt_app.notifications.queue.lanes import ensure_lanes, lane_id_of, pending_in
from bolt_app.notifications.queue.merged_subscriptions import merge_subscription
from bolt_app.notifications.queue.requeue import is_replaced, requeued

NOT_FOUND = "channel_not_found"
# An edit of a message that was not posted because of the old id.
_IS_EDIT_OF_LOST = and_(Delivery.mode == DeliveryMode.EDIT, Delivery.error == "message_not_found")
# Longer than Slack retries an event.
REVIVED_WITHIN = timedelta(days=1)
_MOVES = select(ChannelMove.old_id, ChannelMove.new_id).where(
    ChannelMove.team_id == bindparam("team_id"),
    is_any_of(ChannelMove.old_id, "ids"),
)


def current_ids(connection: Connection, team_id: str, ids: Collection[str]) -> dict[str, str]:
    """Return the current ids of the channels that have moved, by old id."""
    if not ids:
        return {}
    rows = connection.execute(_MOVES, {"team_id": team_id, "ids": [*ids]})
    return {row.old_id: row.new_id for row in rows}


def move_channel(
    connection: Connection, team_id: str, old_id: str, new_id: str, now: datetime
) -> None:
    """Record the new id of a channel, and move all rows with the old one."""
    _lock(connection, team_id, old_id)
    seq = begin_change(connection, [team_id])[team_id]
    new_id = _record(connection, team_id, old_id, new_id)
    if new_id == old_id:
        return
    _move_deliveries(connection, team_id, old_id, new_id, seq, now)
    _move_subscriptions(connection, team_id, old_id, new_id, seq)
    _move_listed(connection, team_id, old_id, new_id)
    _move_senders(connection, team_id, old_id, new_id)
    webhooks = update(UserInstallation).where(_is_installed_in(team_id, old_id))
    connection.execute(webhooks.values(incoming_webhook_channel_id=new_id))


def _lock(connection: Connection, team_id: str, old_id: str) -> None:
    """Lock what a move changes before it locks the queue (the order is in `credentials.limits`)."""
    installations = select(UserInstallation.id).where(_is_installed_in(team_id, old_id))
    connection.execute(installations.order_by(UserInstallation.id).with_for_update(key_share=True))
    listed = select(Channel.name).where(Channel.team_id == team_id, Channel.channel_id == old_id)
    connection.execute(listed.with_for_update())
    lock_credentials(connection, [team_id])
    lock_subscriptions(connection, team_id, Subscription.address == old_id)


def _is_installed_in(team_id: str, channel_id: str) -> ColumnElement[bool]:
    """Return the condition for installations that chose a channel for their webhook."""
    chosen = UserInstallation.incoming_webhook_channel_id == channel_id
    return and_(UserInstallation.team_id == team_id, chosen)


def follow_move(connection: Connection, team_id: str, old_id: str, now: datetime) -> bool:
    """Move rows that were stored with an old id after its channel moved.

    Returns: whether the channel has moved.
    """
    new_id = current_ids(connection, team_id, [old_id]).get(old_id)
    if new_id is None:
        return False
    move_channel(connection, team_id, old_id, new_id, now)
    return True


def _record(connection: Connection, team_id: str, old_id: str, new_id: str) -> str:
    """Store a move, and return the channel's id after all known moves."""
    in_team = ChannelMove.team_id == team_id
    # The channel got its former id back.
    back = and_(ChannelMove.old_id == new_id, ChannelMove.new_id == old_id)
    connection.execute(delete(ChannelMove).where(in_team, back))
    new_id = current_ids(connection, team_id, [new_id]).get(new_id, new_id)
    if new_id == old_id:
        return new_id
    connection.execute(delete(ChannelMove).where(in_team, ChannelMove.old_id == old_id))
    row = {"team_id": team_id, "old_id": old_id, "new_id": new_id}
    connection.execute(insert(ChannelMove).values(row))
    earlier = update(ChannelMove).where(in_team, ChannelMove.new_id == old_id)
    connection.execute(earlier.values(new_id=new_id))
    return new_id


def _move_deliveries(
    connection: Connection, team_id: str, old_id: str, new_id: str, seq: int, now: datetime
) -> None:
    """Move the lane with its deliveries; retry those that recently failed because of the old id."""
    in_channel = (Delivery.team_id == team_id, Delivery.channel_id == old_id)
    # Separate statements, so that both databases use the partial indexes.
    for which in (Delivery.ts.is_not(None), IS_SENDING):
        moved = update(Delivery).where(*in_channel, which)
        connection.execute(moved.values(channel_id=new_id, permalink=None))
    lane_id = connection.scalar(select(lane_id_of(team_id, old_id)))
    if lane_id is None:
        return
    lost = update(Delivery).where(
        Delivery.lane_id == lane_id,
        IS_TROUBLED,
        or_(Delivery.error == NOT_FOUND, _IS_EDIT_OF_LOST),
        # An earlier attempt of an unknown one may have been posted.
        or_(Delivery.state == DeliveryState.DEAD, Delivery.on_unknown == OnUnknown.RESEND),
        Delivery.finished_at > now - REVIVED_WITHIN,
        or_(Delivery.expires_at.is_(None), Delivery.expires_at > now),
        ~is_replaced(lane_id_of(team_id, new_id)),
    )
    connection.execute(lost.values({**requeued(now), "seq": seq}))
    channel_id = case((Delivery.channel_id == old_id, new_id), else_=Delivery.channel_id)
    pending = update(Delivery).where(pending_in(lane_id))
    connection.execute(pending.values(channel_id=channel_id, seq=seq, retry_at=None))
    if connection.scalar(select(lane_id_of(team_id, new_id))) is None:
        # A delivery that is being sent keeps its lane and its order.
        connection.execute(update(Lane).where(Lane.id == lane_id).values(address=new_id))
        return
    ensure_lanes(connection, [(team_id, new_id)])
    in_lane = update(Delivery).where(Delivery.lane_id == lane_id)
    connection.execute(in_lane.values(lane_id=lane_id_of(team_id, new_id)))


def _move_subscriptions(
    connection: Connection, team_id: str, old_id: str, new_id: str, seq: int
) -> None:
    is_old = (Subscription.team_id == team_id, Subscription.address == old_id)
    # Subscriptions of the new id take precedence.
    kept = aliased(Subscription)
    is_kept = (kept.team_id == team_id, kept.address == new_id, kept.topic == Subscription.topic)
    pairs = select(Subscription.id, kept.id).join(kept, and_(*is_kept)).where(*is_old)
    for ended_id, kept_id in connection.execute(pairs).all():
        merge_subscription(connection, ended_id, kept_id, seq)
    connection.execute(update(Subscription).where(*is_old).values(address=new_id))


def _move_listed(connection: Connection, team_id: str, old_id: str, new_id: str) -> None:
    is_old = (Channel.team_id == team_id, Channel.channel_id == old_id)
    listed = select(Channel.name).where(Channel.team_id == team_id, Channel.channel_id == new_id)
    if connection.execute(listed).first() is not None:
        connection.execute(delete(Channel).where(*is_old))
    connection.execute(update(Channel).where(*is_old).values(channel_id=new_id))


def _move_senders(connection: Connection, team_id: str, old_id: str, new_id: str) -> None:
    """Replace the id in webhooks; API keys limited to the old id get both."""
    webhooks = select(Webhook.id, Webhook.target).where(Webhook.team_id == team_id)
    for id_, target in connection.execute(webhooks).all():
        if old_id in target.split():
            moved = dict.fromkeys(new_id if id_ == old_id else id_ for id_ in target.split())
            connection.execute(
                update(Webhook).where(Webhook.id == id_).values(target=" ".join(moved))
            )
    keys = select(ApiKey.id, ApiKey.channels).where(ApiKey.team_id == team_id)
    for id_, channels in connection.execute(keys).all():
        if old_id in channels.split():
            both = dict.fromkeys([*channels.split(), new_id])
            connection.execute(
                update(ApiKey).where(ApiKey.id == id_).values(channels=" ".join(both))
            )
