"""Channel sync: changes of channels and people in Slack, applied to their subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, exists, or_, select, true, update
from sqlalchemy.orm import Session

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Channel, ChannelListing, Subscription
from bolt_app.notifications.queue.change_feed import begin_change, lock_subscriptions
from bolt_app.notifications.queue.merged_subscriptions import merge_subscription
from bolt_app.recipients import normal_channel_name


class PauseReason(StrEnum):
    """Reason for which the subscriptions of a channel or person are paused."""

    ARCHIVED = "archived"
    REMOVED = "removed"
    DEACTIVATED = "deactivated"
    GUEST = "guest"


@dataclass(frozen=True)
class AffectedSubscription:
    """A subscription that was paused or ended, and the id of the person who created it."""

    topic: str
    created_by: str | None


def find_subscribed(session: Session, team_ids: Collection[str], address: str) -> Collection[str]:
    """Return the workspaces, among those given, in which a channel or person has subscriptions."""
    is_of_address = (
        is_any_of(Subscription.team_id, values=team_ids),
        Subscription.address == address,
    )
    return session.scalars(select(Subscription.team_id).where(*is_of_address).distinct()).all()


def begin_channel_sync(session: Session, team_id: str, user_id: str, updated: int) -> bool:
    """Record the latest change of a person that their subscriptions reflect.

    Args:
        updated: time of the change in Slack (Unix seconds); 0 if unknown.

    Returns: False if a later change was recorded before.
    """
    is_theirs = (Subscription.team_id == team_id, Subscription.address == user_id)
    lock_subscriptions(session, team_id, Subscription.address == user_id)
    recorded = session.scalars(select(Subscription.person_updated).where(*is_theirs))
    if max(recorded, default=0) > updated:
        return False
    session.execute(update(Subscription).where(*is_theirs).values(person_updated=updated))
    return True


def pause(
    session: Session,
    team_id: str,
    address: str,
    reason: PauseReason,
    *,
    until: datetime | None = None,
) -> Sequence[AffectedSubscription]:
    """Pause the subscriptions of a channel or person; return those that were active.

    Args:
        until: later subscriptions are not paused.
    """
    lock_subscriptions(session, team_id, Subscription.address == address)
    is_included = true() if until is None else Subscription.created_at <= until
    statement = (
        update(Subscription)
        .where(
            Subscription.team_id == team_id,
            Subscription.address == address,
            Subscription.paused.is_(None),
            is_included,
        )
        .values(paused=reason)
        .returning(Subscription.topic, Subscription.created_by)
    )
    return [AffectedSubscription(*row) for row in session.execute(statement)]


def resume(session: Session, team_id: str, address: str, reason: PauseReason) -> None:
    """Resume the subscriptions that were paused for a reason."""
    lock_subscriptions(session, team_id, Subscription.address == address)
    session.execute(
        update(Subscription)
        .where(
            Subscription.team_id == team_id,
            Subscription.address == address,
            Subscription.paused == reason,
        )
        .values(paused=None)
    )


def end(session: Session, team_id: str, channel_id: str) -> Sequence[AffectedSubscription]:
    """Delete a channel with its subscriptions; return those."""
    session.execute(
        delete(Channel).where(Channel.team_id == team_id, Channel.channel_id == channel_id)
    )
    lock_subscriptions(session, team_id, Subscription.address == channel_id)
    statement = (
        delete(Subscription)
        .where(Subscription.team_id == team_id, Subscription.address == channel_id)
        .returning(Subscription.topic, Subscription.created_by)
    )
    return [AffectedSubscription(*row) for row in session.execute(statement)]


def use_ids(session: Session, team_id: str, ids: Mapping[str, str]) -> None:
    """Replace names by ids in the subscriptions of channels and people.

    Of two subscriptions of one channel or person to one topic, the one changed last is kept.

    Args:
        ids: by `#name`, `@e-mail` or the id of a direct message.
    """
    in_team = Subscription.team_id == team_id
    is_name = or_(*(Subscription.address.startswith(first) for first in "#@D"))
    lock_subscriptions(
        session, team_id, is_name | is_any_of(Subscription.address, values=set(ids.values()))
    )
    rows = session.scalars(select(Subscription).where(in_team, is_name)).all()
    for row in rows:
        id_ = ids.get(row.address)
        if id_ is None:
            continue
        same = (in_team, Subscription.topic == row.topic, Subscription.address == id_)
        other = session.scalar(select(Subscription).where(*same))
        if other is not None and other.changed_at >= row.changed_at:
            _merge(session, row, other)
            continue
        if other is not None:
            _merge(session, other, row)
        session.execute(update(Subscription).where(Subscription.id == row.id).values(address=id_))


def _merge(session: Session, ended: Subscription, kept: Subscription) -> None:
    connection, team_id = session.connection(), ended.team_id
    seq = begin_change(connection, [team_id])[team_id]
    merge_subscription(connection, ended.id, kept.id, seq)


def rename(
    session: Session, team_id: str, channel_id: str, name: str, *, until: datetime | None
) -> None:
    """Store the new name of a listed channel.

    Args:
        until: a listing after this moment takes precedence.
    """
    _change_listed(session, team_id, channel_id, until, name=normal_channel_name(name))


def archive(
    session: Session, team_id: str, channel_id: str, *, is_archived: bool, until: datetime | None
) -> None:
    """Store whether a listed channel is archived; `until` as in `rename`."""
    _change_listed(session, team_id, channel_id, until, is_archived=is_archived)


def _change_listed(
    session: Session, team_id: str, channel_id: str, until: datetime | None, **values: Any
) -> None:
    statement = update(Channel).where(Channel.team_id == team_id, Channel.channel_id == channel_id)
    if until is not None:
        listed = exists().where(ChannelListing.team_id == team_id, ChannelListing.listed_at > until)
        statement = statement.where(~listed)
    session.execute(statement.values(**values))


def leave(session: Session, team_id: str, channel_id: str) -> None:
    """Delete a private channel that the bot has left; mark a public one, which it can rejoin."""
    is_channel = (Channel.team_id == team_id, Channel.channel_id == channel_id)
    session.execute(delete(Channel).where(*is_channel, Channel.is_private))
    session.execute(update(Channel).where(*is_channel).values(is_member=False))
