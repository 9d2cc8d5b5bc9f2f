"""Erasure of people from all tables except their profiles.

Their subscriptions, and the record of opened App Homes, are deleted. Rows that others rely on are
kept without them: incidents, API keys, webhooks and channels' subscriptions name `DELETED_PERSON`
instead, and past deliveries to them get `DELETED_ADDRESS`. Accepted deliveries still reach the
person: their lane is marked, and erased when nothing in it is open.
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

from bolt_app.credentials.records import lock_credentials
from bolt_app.credentials.sources import SourceKind, person_source
from bolt_app.db.models import (
    DELETED_ADDRESS,
    IS_BY_PERSON,
    IS_OPEN,
    IS_PENDING,
    OPEN_STATES,
    ApiKey,
    Delivery,
    HomeTab,
    IdempotencyKey,
    Incident,
    Lane,
    Notification,
    Subscription,
    Webhook,
)
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.incidents.callbacks import erase_from_callbacks
from bolt_app.notifications.incidents.messages import (
    IncidentChange,
    find_messages,
    refresh_messages,
)
from bolt_app.notifications.queue.change_feed import begin_change, lock_subscriptions
from bolt_app.recipients import email_address
from bolt_app.slack_ids import DELETED_PERSON

# Messages that name the person are refreshed after everything that waits in their channels.
ERASING_RANK = 1000
MOST_LANES = 1000
_ANSWERERS = (Incident.state_by, Incident.assigned_to, Incident.snoozed_by, Incident.muted_by)
_AUTHORS = (
    ApiKey.created_by,
    ApiKey.revoked_by,
    Webhook.created_by,
    Webhook.revoked_by,
    Subscription.created_by,
)
_HAS_OPEN = exists().where(Delivery.lane_id == Lane.id, IS_OPEN)


@dataclass(frozen=True)
class ErasedPeople:
    """People of one workspace to be erased.

    Attributes:
        user_ids: None for everyone, as when Bellhop is uninstalled.
        emails: the known ones.
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
        """Return the condition that a column holds an address of one of them."""
        if self.user_ids is None:
            return func.substr(column, 1, 1).in_(("U", "W", "D", "@"))
        known: ColumnElement[bool] = column.in_([*self.user_ids, *map(email_address, self.emails)])
        return known


def erase_people(
    connection: Connection, people: ErasedPeople, now: datetime, *, refreshes: bool
) -> Sequence[str]:
    """Erase people from everything but their profiles, in one workspace.

    Args:
        refreshes: whether to refresh posted messages that name them, which needs an installed bot.

    Returns: the ids of people who had opened their App Home.
    """
    lock_credentials(connection, [people.team_id])
    theirs = people.addresses(Subscription.address) | people.are(Subscription.created_by)
    lock_subscriptions(connection, people.team_id, theirs)
    _erase_authors(connection, people)
    seq = begin_change(connection, [people.team_id])[people.team_id]
    lanes = _lanes(connection, people)
    keys = _answered_incidents(connection, people)
    _delete_subscriptions(connection, people, seq, now)
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
    """Return the workspaces with lanes for `erase_idle_lanes`."""
    return connection.scalars(_idle_lanes(Lane.team_id)).unique().all()


def erase_idle_lanes(connection: Connection, team_id: str) -> bool:
    """Erase a workspace's marked lanes in which nothing is open, and delete its empty ones.

    Returns: whether more may be left; one transaction changes up to `MOST_LANES`.
    """
    begin_change(connection, [team_id])
    idle = _idle_lanes(Lane.id, Lane.is_erasable).where(Lane.team_id == team_id)
    rows = connection.execute(idle.limit(MOST_LANES)).all()
    marked = [row.id for row in rows if row.is_erasable]
    _erase_deliveries(connection, marked)
    erase_lanes(connection, marked)
    empty = [row.id for row in rows if row.is_empty]
    connection.execute(delete(Lane).where(Lane.id.in_(empty)))
    return len(rows) == MOST_LANES


def _idle_lanes(*columns: InstrumentedAttribute[Any]) -> Select[Any]:
    """Select from the lanes that are empty, or marked and without open deliveries.

    The lanes in use are read once, not for each lane.
    """
    used = select(Delivery.lane_id).distinct().subquery()
    is_empty = used.c.lane_id.is_(None)
    lanes = select(*columns, is_empty.label("is_empty"))
    joined = lanes.select_from(outerjoin(Lane, used, used.c.lane_id == Lane.id))
    return joined.where(is_empty | (Lane.is_erasable & ~_HAS_OPEN))


def erase_lanes(connection: Connection, lane_ids: Collection[int]) -> None:
    """Erase the addresses of lanes without open deliveries."""
    connection.execute(
        update(Lane)
        .where(Lane.id.in_(lane_ids), ~_HAS_OPEN)
        .values(address=literal(f"{DELETED_ADDRESS}:") + cast(Lane.id, Text), is_erasable=False)
    )


def _lanes(connection: Connection, people: ErasedPeople) -> dict[int, str]:
    """Return the addresses of people's lanes, found by user ids, direct messages and e-mails.

    Former e-mail addresses are included.
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
    keys = select(Incident.key).where(Incident.team_id == people.team_id, named)
    return connection.scalars(keys.order_by(Incident.key)).all()


def _delete_subscriptions(
    connection: Connection, people: ErasedPeople, seq: int, now: datetime
) -> None:
    """Delete people's own subscriptions, and cancel their pending deliveries.

    A refresh is kept: a name that was erased has to leave its message.
    """
    subscriptions = delete(Subscription).where(
        Subscription.team_id == people.team_id, people.addresses(Subscription.address)
    )
    ended = connection.scalars(subscriptions.returning(Subscription.id)).all()
    connection.execute(
        update(Delivery)
        .where(
            Delivery.subscription_id.in_(ended), IS_PENDING, Delivery.mode != DeliveryMode.REFRESH
        )
        .values(state=DeliveryState.CANCELLED, finished_at=now, seq=seq)
    )


def _erase_names(connection: Connection, people: ErasedPeople, now: datetime) -> None:
    """Replace people by `DELETED_PERSON` in incidents and as senders."""
    for column in _ANSWERERS:
        is_named = (Incident.team_id == people.team_id, people.are(column))
        values = {column.key: DELETED_PERSON, "changed_at": now}
        connection.execute(update(Incident).where(*is_named).values(**values))
    sources = None if people.user_ids is None else [person_source(id_) for id_ in people.user_ids]
    sent = true() if sources is None else Notification.source.in_(sources)
    connection.execute(
        update(Notification)
        .where(Notification.team_id == people.team_id, IS_BY_PERSON, sent)
        .values(source=person_source(DELETED_PERSON))
    )
    _delete_idempotency_keys(connection, people)


def _erase_authors(connection: Connection, people: ErasedPeople) -> None:
    """Replace people by `DELETED_PERSON` as creators and revokers."""
    for column in _AUTHORS:
        model: Any = column.class_
        is_named = (model.team_id == people.team_id, people.are(column))
        connection.execute(update(model).where(*is_named).values({column.key: DELETED_PERSON}))


def _delete_idempotency_keys(connection: Connection, people: ErasedPeople) -> None:
    """Delete the keys of notifications from people in Slack, and to them about their channels."""
    owner, key = IdempotencyKey.owner, IdempotencyKey.key
    by, about = f"{people.team_id}/{person_source('')}", f"{people.team_id}/{SourceKind.LIFECYCLE}"
    if people.user_ids is None:
        is_theirs = owner.startswith(by, autoescape=True) | (owner == about)
    else:
        named = [key.endswith(f"/{id_}", autoescape=True) for id_ in people.user_ids]
        owned = owner.in_([by + id_ for id_ in people.user_ids])
        is_theirs = owned | ((owner == about) & or_(*named))
    connection.execute(delete(IdempotencyKey).where(is_theirs))


def _erase_deliveries(connection: Connection, lane_ids: Collection[int]) -> None:
    """Erase the destinations of ended deliveries in locked lanes."""
    connection.execute(
        update(Delivery)
        .where(Delivery.lane_id.in_(lane_ids), Delivery.state.not_in(OPEN_STATES))
        .values(
            target=DELETED_ADDRESS,
            recipient_id=None,
            channel_id=None,
            ts=None,
            thread_ts=None,
            replaced_ts=None,
            permalink=None,
        )
    )
