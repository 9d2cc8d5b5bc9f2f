"""Subscriptions follow what becomes of channels and people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, exists, or_, select, true, update
from sqlalchemy.orm import Session

from bolt_app.db.models import Channel, ChannelListing, Subscription
from bolt_app.recipients import normal_channel_name

PauseReason = Literal["archived", "removed", "deactivated", "guest"]


@dataclass(frozen=True)
class Followed:
    """A subscription that paused or ended, and who made it: a person's id, where one did."""

    topic: str
    created_by: str | None


def find_subscribed(session: Session, team_ids: Collection[str], address: str) -> Collection[str]:
    """Return those of the workspaces in which a channel or person has subscriptions."""
    mine = (Subscription.team_id.in_(team_ids), Subscription.address == address)
    return session.scalars(select(Subscription.team_id).where(*mine).distinct()).all()


def begin_channel_sync(session: Session, team_id: str, user_id: str, updated: int) -> bool:
    """Record which change of a person their subscriptions follow.

    Args:
        updated: when Slack changed the person (Unix seconds); 0 where it does not say.

    Returns: whether the change is not older than the one that they follow.
    """
    mine = (Subscription.team_id == team_id, Subscription.address == user_id)
    followed = session.scalars(select(Subscription.person_updated).where(*mine).with_for_update())
    if max(followed, default=0) > updated:
        return False
    session.execute(update(Subscription).where(*mine).values(person_updated=updated))
    return True


def pause(
    session: Session,
    team_id: str,
    address: str,
    reason: PauseReason,
    *,
    until: datetime | None = None,
) -> Sequence[Followed]:
    """Let nothing come to a channel or person any more; return the subscriptions that paused.

    Args:
        until: those that were made later stay as they are.
    """
    concerned = true() if until is None else Subscription.created_at <= until
    statement = (
        update(Subscription)
        .where(
            Subscription.team_id == team_id,
            Subscription.address == address,
            Subscription.paused.is_(None),
            concerned,
        )
        .values(paused=reason)
        .returning(Subscription.topic, Subscription.created_by)
    )
    return [Followed(*row) for row in session.execute(statement)]


def resume(session: Session, team_id: str, address: str, reason: PauseReason) -> None:
    """Let go on what was paused for that reason."""
    session.execute(
        update(Subscription)
        .where(
            Subscription.team_id == team_id,
            Subscription.address == address,
            Subscription.paused == reason,
        )
        .values(paused=None)
    )


def end(session: Session, team_id: str, channel_id: str) -> Sequence[Followed]:
    """Forget a channel that is gone; return the subscriptions that ended."""
    session.execute(
        delete(Channel).where(Channel.team_id == team_id, Channel.channel_id == channel_id)
    )
    statement = (
        delete(Subscription)
        .where(Subscription.team_id == team_id, Subscription.address == channel_id)
        .returning(Subscription.topic, Subscription.created_by)
    )
    return [Followed(*row) for row in session.execute(statement)]


def use_ids(session: Session, team_id: str, ids: Mapping[str, str]) -> None:
    """Store subscriptions by the ids of their channels and people where only names were known.

    Of two subscriptions of one channel or person to one topic the one that was changed later stays.

    Args:
        ids: by `#name`, `@e-mail` or the id of a direct message.
    """
    mine = Subscription.team_id == team_id
    is_name = or_(*(Subscription.address.startswith(first) for first in "#@D"))
    rows = session.scalars(select(Subscription).where(mine, is_name).with_for_update()).all()
    for row in rows:
        id_ = ids.get(row.address)
        if id_ is None:
            continue
        there = (mine, Subscription.topic == row.topic, Subscription.address == id_)
        changed_at = session.scalar(select(Subscription.changed_at).where(*there).with_for_update())
        if changed_at is not None and changed_at >= row.changed_at:
            session.execute(delete(Subscription).where(Subscription.id == row.id))
            continue
        session.execute(delete(Subscription).where(*there))
        session.execute(update(Subscription).where(Subscription.id == row.id).values(address=id_))


def rename(
    session: Session, team_id: str, channel_id: str, name: str, *, until: datetime | None
) -> None:
    """Follow the new name of a channel that is known.

    Args:
        until: channels that were listed later stay as they are.
    """
    _change_listed(session, team_id, channel_id, until, name=normal_channel_name(name))


def archive(
    session: Session, team_id: str, channel_id: str, *, is_archived: bool, until: datetime | None
) -> None:
    """Write down whether a channel that is known is archived; `until` as in `rename`."""
    _change_listed(session, team_id, channel_id, until, is_archived=is_archived)


def _change_listed(
    session: Session, team_id: str, channel_id: str, until: datetime | None, **values: Any
) -> None:
    mine = update(Channel).where(Channel.team_id == team_id, Channel.channel_id == channel_id)
    if until is not None:
        listed = exists().where(ChannelListing.team_id == team_id, ChannelListing.listed_at > until)
        mine = mine.where(~listed)
    session.execute(mine.values(**values))


def leave(session: Session, team_id: str, channel_id: str) -> None:
    """Forget a private channel that the bot is not in any more; a public one it may join again."""
    mine = (Channel.team_id == team_id, Channel.channel_id == channel_id)
    session.execute(delete(Channel).where(*mine, Channel.is_private))
    session.execute(update(Channel).where(*mine).values(is_member=False))
