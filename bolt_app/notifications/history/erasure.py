"""Erasure of people from what Bellhop keeps besides their profiles.

Deleted: their subscriptions, and which App Homes they opened. Rows that others rely on stay without
them: incidents, API keys, webhooks and channels' subscriptions name `DELETED_PERSON` where they
named the person, and past deliveries to them go to `DELETED_ADDRESS`. Deliveries that a sender was
promised still reach the person: their lane is marked, and erased once nothing is open in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    outerjoin,
    select,
    true,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from bolt_app.db.models import (
    DELETED_ADDRESS,
    IS_BY_PERSON,
    IS_OPEN,
    IS_PENDING,
    OPEN_STATES,
    ApiKey,
    Delivery,
    HomeTab,
    Hook,
    IdempotencyKey,
    Incident,
    Lane,
    Notification,
    Subscription,
)
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.incidents.callbacks import erase_from_callbacks
from bolt_app.notifications.incidents.messages import (
    IncidentChange,
    find_messages,
    refresh_messages,
)
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.recipients import email_address
from bolt_app.slack_ids import DELETED_PERSON

# Messages that named the person change after everything that waits in their channels.
ERASING_RANK = 1000
_ANSWERERS = (Incident.state_by, Incident.assigned_to, Incident.snoozed_by, Incident.muted_by)
_AUTHORS = (
    ApiKey.created_by,
    ApiKey.revoked_by,
    Hook.created_by,
    Hook.revoked_by,
    Subscription.created_by,
)
_HAS_OPEN = exists().where(Delivery.lane_id == Lane.id, IS_OPEN)


@dataclass(frozen=True)
class ErasedPeople:
    """People of one workspace who are to be erased.

    Attributes:
        user_ids: theirs; None means everybody, as when Bellhop is uninstalled.
        emails: their addresses, as far as they are known.
    """

    team_id: str
    user_ids: Collection[str] | None
    emails: Collection[str] = field(default=(), repr=False)

    def are(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column holds one of their ids."""
        if self.user_ids is None:
            named: ColumnElement[bool] = column.is_not(None) & (column != DELETED_PERSON)
            return named
        found: ColumnElement[bool] = column.in_(self.user_ids)
        return found

    def addresses(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column holds a person's address, and one of theirs."""
        if self.user_ids is None:
            return func.substr(column, 1, 1).in_(("U", "W", "D", "@"))
        known: ColumnElement[bool] = column.in_([*self.user_ids, *map(email_address, self.emails)])
        return known


def erase_people(
    connection: Connection, people: ErasedPeople, now: datetime, *, refreshes: bool
) -> Sequence[str]:
    """Erase people from everything but their profiles, in one workspace.

    Args:
        refreshes: whether posted messages that name them are to be shown without them, which needs
            an installed bot.

    Returns: those who had their App Home open.
    """
    # Credentials, the workspace and its incidents are locked in this order, as where notifications
    # are accepted.
    _erase_authors(connection, people)
    seq = begin_change(connection, [people.team_id])[people.team_id]
    lanes = _lanes(connection, people)
    keys = _answered_incidents(connection, people)
    _end_subscriptions(connection, people, seq, now)
    _erase_names(connection, people, now)
    erase_from_callbacks(connection, people.team_id, people.user_ids)
    for key in keys if refreshes else ():
        messages = find_messages(connection, people.team_id, key)
        change = IncidentChange(people.team_id, key, seq, now)
        refresh_messages(connection, change, messages, rank=ERASING_RANK)
    connection.execute(update(Lane).where(Lane.id.in_(lanes)).values(is_erasable=True))
    _erase_deliveries(connection, lanes)
    erase_lanes(connection, lanes)
    tabs = delete(HomeTab).where(HomeTab.team_id == people.team_id, people.are(HomeTab.user_id))
    return connection.scalars(tabs.returning(HomeTab.user_id)).all()


def teams_with_idle_lanes(connection: Connection) -> Sequence[str]:
    """Return the workspaces that have lanes for `erase_idle_lanes`."""
    return connection.scalars(_idle_lanes(Lane.team_id)).unique().all()


def erase_idle_lanes(connection: Connection, team_id: str) -> None:
    """Erase a workspace's marked lanes in which nothing is open, and delete its empty ones."""
    begin_change(connection, [team_id])
    idle = _idle_lanes(Lane.id, Lane.is_erasable).where(Lane.team_id == team_id)
    rows = connection.execute(idle).all()
    marked = [row.id for row in rows if row.is_erasable]
    _erase_deliveries(connection, marked)
    erase_lanes(connection, marked)
    empty = [row.id for row in rows if row.is_empty]
    connection.execute(delete(Lane).where(Lane.id.in_(empty)))


def _idle_lanes(*columns: InstrumentedAttribute[Any]) -> Select[Any]:
    """Select from the lanes that are empty, or marked without anything open.

    No index finds all deliveries of one lane, so the lanes in use are read once, not for each lane.
    """
    used = select(Delivery.lane_id).distinct().subquery()
    is_empty = used.c.lane_id.is_(None)
    lanes = select(*columns, is_empty.label("is_empty"))
    joined = lanes.select_from(outerjoin(Lane, used, used.c.lane_id == Lane.id))
    return joined.where(is_empty | (Lane.is_erasable & ~_HAS_OPEN))


def erase_lanes(connection: Connection, lane_ids: Collection[int]) -> None:
    """Take away the addresses of lanes in which nothing is open."""
    connection.execute(
        update(Lane)
        .where(Lane.id.in_(lane_ids), ~_HAS_OPEN)
        .values(address=literal(f"{DELETED_ADDRESS}:") + cast(Lane.id, Text), is_erasable=False)
    )


def _lanes(connection: Connection, people: ErasedPeople) -> dict[int, str]:
    """Return the addresses of people's lanes: by their ids, their conversations with the bot, and
    e-mail addresses, former ones included.
    """
    in_team = select(Lane.id, Lane.address).where(Lane.team_id == people.team_id)
    known = connection.execute(in_team.where(people.addresses(Lane.address))).all()
    written = (
        select(Delivery.target)
        .where(
            Delivery.lane_id.in_([row.id for row in known]),
            func.substr(Delivery.target, 1, 1) == "@",
            Delivery.target != DELETED_ADDRESS,
        )
        .distinct()
    )
    conversations = select(Delivery.channel_id).where(
        Delivery.lane_id.in_([row.id for row in known]),
        func.substr(Delivery.channel_id, 1, 1) == "D",
    )
    others = Lane.address.in_(written) | Lane.address.in_(conversations)
    former = connection.execute(in_team.where(others)).all()
    return {
        row.id: row.address
        for row in [*known, *former]
        if not row.address.startswith(DELETED_ADDRESS)
    }


def _answered_incidents(connection: Connection, people: ErasedPeople) -> Sequence[str]:
    named = or_(*(people.are(column) for column in _ANSWERERS))
    mine = select(Incident.key).where(Incident.team_id == people.team_id, named)
    return connection.scalars(mine.order_by(Incident.key)).all()


def _end_subscriptions(
    connection: Connection, people: ErasedPeople, seq: int, now: datetime
) -> None:
    """Delete what people subscribed themselves to, with what still waits by that."""
    mine = delete(Subscription).where(
        Subscription.team_id == people.team_id, people.addresses(Subscription.address)
    )
    ended = connection.scalars(mine.returning(Subscription.id)).all()
    connection.execute(
        update(Delivery)
        .where(Delivery.subscription_id.in_(ended), IS_PENDING)
        .values(state=DeliveryState.CANCELLED, finished_at=now, seq=seq)
    )


def _erase_names(connection: Connection, people: ErasedPeople, now: datetime) -> None:
    """Put nobody in the place of people wherever something was done by them."""
    for column in _ANSWERERS:
        mine = (Incident.team_id == people.team_id, people.are(column))
        values = {column.key: DELETED_PERSON, "changed_at": now}
        connection.execute(update(Incident).where(*mine).values(**values))
    sources = None if people.user_ids is None else [f"slack:{one}" for one in people.user_ids]
    sent = true() if sources is None else Notification.source.in_(sources)
    connection.execute(
        update(Notification)
        .where(Notification.team_id == people.team_id, IS_BY_PERSON, sent)
        .values(source=f"slack:{DELETED_PERSON}")
    )
    _delete_idempotency_keys(connection, people)


def _erase_authors(connection: Connection, people: ErasedPeople) -> None:
    """Let nobody have made what people made."""
    for column in _AUTHORS:
        model: Any = column.class_
        mine = (model.team_id == people.team_id, people.are(column))
        connection.execute(update(model).where(*mine).values({column.key: DELETED_PERSON}))


def _delete_idempotency_keys(connection: Connection, people: ErasedPeople) -> None:
    """Delete the keys of what was sent by people in Slack, or to them about their channels."""
    owner, key = IdempotencyKey.owner, IdempotencyKey.key
    by, about = f"{people.team_id}/slack:", f"{people.team_id}/lifecycle"
    if people.user_ids is None:
        theirs = owner.startswith(by, autoescape=True) | (owner == about)
    else:
        named = [key.endswith(f"/{one}", autoescape=True) for one in people.user_ids]
        theirs = owner.in_([by + one for one in people.user_ids]) | ((owner == about) & or_(*named))
    connection.execute(delete(IdempotencyKey).where(theirs))


def _erase_deliveries(connection: Connection, lane_ids: Collection[int]) -> None:
    """Take away where the ended deliveries of locked lanes went."""
    connection.execute(
        update(Delivery)
        .where(Delivery.lane_id.in_(lane_ids), Delivery.state.not_in(OPEN_STATES))
        .values(
            target=DELETED_ADDRESS,
            channel_id=None,
            ts=None,
            thread_ts=None,
            replaced_ts=None,
            permalink=None,
        )
    )
