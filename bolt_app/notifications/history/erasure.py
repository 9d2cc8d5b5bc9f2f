"""Erasure of people from all tables except their profiles.

Their subscriptions, and the record of opened App Homes, are deleted. Rows that others rely on are
kept without them: incidents, API keys, webhooks and channels' subscriptions name `DELETED_PERSON`
instead, and past deliveries to them get `DELETED_ADDRESS`. Accepted deliveries still reach the
person: their lane is marked, and erased when nothing in it is open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    outerjoin,
    select,
    union,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from bolt_app.credentials.records import lock_credentials
from bolt_app.credentials.sources import person_source
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import (
    DELETED_ADDRESS,
    IS_BY_PERSON,
    IS_OPEN,
    IS_PENDING,
    OPEN_STATES,
    ApiKey,
    Callback,
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
    """People of some workspaces to be erased.

    Attributes:
        user_ids: None for everyone, as when Bellhop is uninstalled.
        emails: the known ones; each leads to the person in all of the workspaces.
    """

    team_ids: Collection[str]
    user_ids: Collection[str] | None
    emails: Collection[str] = field(default=(), repr=False)

    def are_there(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column holds one of their workspaces."""
        return is_any_of(column, values=self.team_ids)

    def are(self, *columns: Any) -> ColumnElement[bool]:
        """Return the condition that one of the columns holds one of their ids."""
        return or_(*(self._is_one(column) for column in columns))

    def addresses(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column holds an address of one of them."""
        if self.user_ids is None:
            return func.substr(column, 1, 1).in_(("U", "W", "D", "@"))
        return is_any_of(column, values=[*self.user_ids, *map(email_address, self.emails)])

    def sent(self) -> ColumnElement[bool]:
        """Return the condition that one of them sent a notification in Slack."""
        if self.user_ids is None:
            return and_(IS_BY_PERSON)
        sources = [person_source(user_id) for user_id in self.user_ids]
        return and_(IS_BY_PERSON, is_any_of(Notification.source, values=sources))

    def key_owners(self) -> Sequence[str]:
        """Return the owners of the idempotency keys of some people's notifications."""
        sources = [person_source(user_id) for user_id in self.user_ids or ()]
        return [f"{team_id}/{source}" for team_id in self.team_ids for source in sources]

    def subscribed(self) -> ColumnElement[bool]:
        """Return the condition that a subscription is theirs, or was created by one of them."""
        return self.addresses(Subscription.address) | self.are(Subscription.created_by)

    def _is_one(self, column: Any) -> ColumnElement[bool]:
        if self.user_ids is None:
            return and_(column.is_not(None), column != DELETED_PERSON)
        return is_any_of(column, values=self.user_ids)


def with_data_only(connection: Connection, people: ErasedPeople) -> ErasedPeople:
    """Leave out the workspaces in which there is nothing to erase.

    An organization may have thousands, and senders wait for a workspace that is being changed.
    """
    places = union(
        *(
            select(team_id).where(people.are_there(team_id), condition)
            for team_id, condition in _places(people)
        ),
        select(ApiKey.team_id)
        .join(Callback, Callback.api_key_id == ApiKey.id)
        .where(people.are_there(ApiKey.team_id)),
    )
    found = set(connection.scalars(places))
    keys = select(IdempotencyKey.owner).where(
        is_any_of(IdempotencyKey.owner, values=people.key_owners())
    )
    found.update(owner.partition("/")[0] for owner in connection.scalars(keys))
    return replace(people, team_ids=found)


def _places(people: ErasedPeople) -> Iterator[tuple[Any, ColumnElement[bool]]]:
    """Yield the workspace of each kind of row, and the condition for rows to be erased."""
    yield Lane.team_id, people.addresses(Lane.address)
    yield Subscription.team_id, people.subscribed()
    yield ApiKey.team_id, people.are(ApiKey.created_by, ApiKey.revoked_by)
    yield Webhook.team_id, people.are(Webhook.created_by, Webhook.revoked_by)
    yield Incident.team_id, people.are(*_ANSWERERS)
    yield Notification.team_id, people.sent()
    yield HomeTab.team_id, people.are(HomeTab.user_id)


def erase_people(
    connection: Connection, erased: Collection[ErasedPeople], now: datetime, *, refreshes: bool
) -> Mapping[str, Sequence[str]]:
    """Erase people from everything but their profiles.

    Args:
        erased: each workspace occurs once.
        refreshes: whether to refresh posted messages that name them, which needs an installed bot.

    Returns: the ids of people who had opened their App Home, by workspace.
    """
    of_team = {team_id: people for people in erased for team_id in people.team_ids}
    opened: dict[str, list[str]] = defaultdict(list)
    if not of_team:
        return opened
    lock_credentials(connection, of_team)
    for team_id in sorted(of_team):
        lock_subscriptions(connection, team_id, of_team[team_id].subscribed())
    for people in erased:
        _erase_authors(connection, people)
    numbers = begin_change(connection, of_team)
    for people in erased:
        _erase_from_queues(connection, people, numbers, now, refreshes=refreshes)
        for row in _forget_homes(connection, people):
            opened[row.team_id].append(row.user_id)
    return opened


def _erase_from_queues(
    connection: Connection,
    people: ErasedPeople,
    numbers: Mapping[str, int],
    now: datetime,
    *,
    refreshes: bool,
) -> None:
    """Erase people from locked workspaces.

    Args:
        numbers: of the change, by workspace.
    """
    lanes = _lanes(connection, people)
    answered = _answered_incidents(connection, people)
    _delete_subscriptions(connection, people, numbers, now)
    _erase_names(connection, people, now)
    erase_from_callbacks(connection, people.team_ids, people.user_ids)
    for team_id, keys in answered.items() if refreshes else ():
        messages = find_messages(connection, team_id, keys)
        change = IncidentChange(team_id, numbers[team_id], now)
        refresh_messages(connection, change, messages, rank=ERASING_RANK)
    marked = update(Lane).where(is_any_of(Lane.id, values=lanes))
    connection.execute(marked.values(is_erasable=True))
    _erase_deliveries(connection, lanes)
    erase_lanes(connection, lanes)


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
    connection.execute(delete(Lane).where(is_any_of(Lane.id, values=empty)))
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
        .where(is_any_of(Lane.id, values=lane_ids), ~_HAS_OPEN)
        .values(address=literal(f"{DELETED_ADDRESS}:") + cast(Lane.id, Text), is_erasable=False)
    )


def _lanes(connection: Connection, people: ErasedPeople) -> Sequence[int]:
    """Return people's lanes, found by user ids, direct messages and e-mails.

    Former e-mail addresses are included.
    """
    is_there = people.are_there(Lane.team_id)
    known = select(Lane.id).where(is_there, people.addresses(Lane.address))
    written = select(Delivery.target).where(
        Delivery.lane_id.in_(known),
        func.substr(Delivery.target, 1, 1) == "@",
        Delivery.target != DELETED_ADDRESS,
    )
    conversations = select(Delivery.channel_id).where(
        Delivery.lane_id.in_(known), func.substr(Delivery.channel_id, 1, 1) == "D"
    )
    is_theirs = Lane.id.in_(known) | Lane.address.in_(written) | Lane.address.in_(conversations)
    is_erased = Lane.address.startswith(f"{DELETED_ADDRESS}:")
    return connection.scalars(select(Lane.id).where(is_there, is_theirs, ~is_erased)).all()


def _answered_incidents(
    connection: Connection, people: ErasedPeople
) -> Mapping[str, Collection[str]]:
    """Return the keys of the incidents that name people, by workspace."""
    named = select(Incident.team_id, Incident.key).where(
        people.are_there(Incident.team_id), people.are(*_ANSWERERS)
    )
    keys: dict[str, list[str]] = defaultdict(list)
    for team_id, key in connection.execute(named):
        keys[team_id].append(key)
    return keys


def _delete_subscriptions(
    connection: Connection, people: ErasedPeople, numbers: Mapping[str, int], now: datetime
) -> None:
    """Delete people's own subscriptions, and cancel their pending deliveries.

    A refresh is kept: a name that was erased has to leave its message.
    """
    subscriptions = (
        delete(Subscription)
        .where(people.are_there(Subscription.team_id), people.addresses(Subscription.address))
        .returning(Subscription.team_id, Subscription.id)
    )
    ended: dict[str, list[int]] = defaultdict(list)
    for team_id, id_ in connection.execute(subscriptions):
        ended[team_id].append(id_)
    for team_id, ids in ended.items():
        connection.execute(
            update(Delivery)
            .where(
                is_any_of(Delivery.subscription_id, values=ids),
                IS_PENDING,
                Delivery.mode != DeliveryMode.REFRESH,
            )
            .values(state=DeliveryState.CANCELLED, finished_at=now, seq=numbers[team_id])
        )


def _erase_names(connection: Connection, people: ErasedPeople, now: datetime) -> None:
    """Replace people by `DELETED_PERSON` in incidents and as senders."""
    for column in _ANSWERERS:
        is_named = (people.are_there(Incident.team_id), people.are(column))
        values = {column.key: DELETED_PERSON, "changed_at": now}
        connection.execute(update(Incident).where(*is_named).values(**values))
    connection.execute(
        update(Notification)
        .where(people.are_there(Notification.team_id), people.sent())
        .values(source=person_source(DELETED_PERSON))
    )
    _delete_idempotency_keys(connection, people)


def _erase_authors(connection: Connection, people: ErasedPeople) -> None:
    """Replace people by `DELETED_PERSON` as creators and revokers."""
    for column in _AUTHORS:
        model: Any = column.class_
        is_named = (people.are_there(model.team_id), people.are(column))
        connection.execute(update(model).where(*is_named).values({column.key: DELETED_PERSON}))


def _delete_idempotency_keys(connection: Connection, people: ErasedPeople) -> None:
    """Delete the keys of notifications that people sent in Slack."""
    owner = IdempotencyKey.owner
    if people.user_ids is None:
        for team_id in people.team_ids:
            is_theirs = owner.startswith(f"{team_id}/{person_source('')}", autoescape=True)
            connection.execute(delete(IdempotencyKey).where(is_theirs))
        return
    connection.execute(delete(IdempotencyKey).where(is_any_of(owner, values=people.key_owners())))


def _forget_homes(connection: Connection, people: ErasedPeople) -> Sequence[Any]:
    """Forget people's open App Homes; return them."""
    tabs = delete(HomeTab).where(people.are_there(HomeTab.team_id), people.are(HomeTab.user_id))
    return connection.execute(tabs.returning(HomeTab.team_id, HomeTab.user_id)).all()


def _erase_deliveries(connection: Connection, lane_ids: Collection[int]) -> None:
    """Erase the destinations of ended deliveries in locked lanes."""
    connection.execute(
        update(Delivery)
        .where(is_any_of(Delivery.lane_id, values=lane_ids), Delivery.state.not_in(OPEN_STATES))
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
