"""Subscriptions: what channels and people want of what is sent to topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, get_args

from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import Delivery, EventReceipt, Subscription
from bolt_app.db.receipts import RECEIPT_LIFETIME, record_effect
from bolt_app.db.types import LONG_PAST
from bolt_app.db.upsert import upsert
from bolt_app.notifications.content.schema import Mode
from bolt_app.notifications.content.states import shown_state
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.subscriptions.filters import parse_filter
from bolt_app.notifications.subscriptions.schedules import Schedule, is_zone
from bolt_app.notifications.subscriptions.store import read_subscription
from bolt_app.recipients import normal_address, topic_of
from bolt_app.signals import Signals
from bolt_app.slack_ids import is_person

# Read for every App Home, and so prepared once.
_LATEST = (
    select(func.max(Delivery.id))
    .where(Delivery.subscription_id == Subscription.id)
    .correlate(Subscription)
    .scalar_subquery()
)
_OF_ADDRESS = PreparedSelect(
    select(
        Subscription,
        Delivery.state.label("last_state"),
        func.coalesce(Delivery.finished_at, Delivery.attempted_at, Delivery.send_at).label(
            "last_at"
        ),
    )
    .outerjoin(Delivery, Delivery.id == _LATEST)
    .where(
        Subscription.team_id == bindparam("team_id"), Subscription.address == bindparam("address")
    )
    .order_by(Subscription.topic)
)


class TopicLoopError(ValueError):
    """A topic cannot be subscribed to a topic."""

    def __init__(self) -> None:
        super().__init__("A topic cannot be sent on to a topic: give a channel or a person.")


class TooManySubscriptionsError(Exception):
    """The channel, the person or the workspace has as many subscriptions as it may have."""

    def __init__(self, where: str, limit: int) -> None:
        super().__init__(
            f"{where} has {limit:,} subscriptions, which is the limit: end one first. One to "
            "`name/*` takes the place of many."
        )


@dataclass(frozen=True)
class SubscriptionLimits:
    """How many subscriptions there may be."""

    per_destination: int = 100
    per_workspace: int = 10_000


@dataclass(frozen=True)
class SubscriptionSpec:
    """What a subscription says.

    Attributes:
        topic: a topic, `name/*` or `*`.
        filter: as `filters.parse_filter` takes it; empty wants everything.
        mode: what becomes of notifications with a key; None leaves it to their sender.
        digest: when what is held comes as one; None brings each at once.
        muted_until: nothing comes before this moment.
        created_by: the person's id; None for the command line.
    """

    topic: str
    filter: str = ""
    mode: Mode | None = None
    muted_until: datetime | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    digest: Schedule | None = None

    def columns(self) -> dict[str, Any]:
        """Return what of it stands in the database by the name of its column."""
        return {
            "topic": self.topic,
            "filter": self.filter,
            "mode": self.mode,
            "muted_until": self.muted_until,
            "created_by": self.created_by,
            "created_at": self.created_at,
            **_digest_columns(self.digest),
        }


@dataclass(frozen=True)
class LastDelivery:
    """The delivery that came last by a subscription."""

    state: str
    at: datetime


@dataclass(frozen=True)
class StoredSubscription:
    """A subscription, and what came of it last.

    Attributes:
        paused: why nothing comes: "archived", "removed", "deactivated" or "guest"; None where
            it does.
        unreadable: the fields that are stored in a form that cannot be read; while there are any,
            nothing comes.
    """

    id: int
    address: str
    wish: SubscriptionSpec
    changed_at: datetime
    paused: str | None = None
    last: LastDelivery | None = None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubscriptionChange:
    """What was changed about one subscription.

    Attributes:
        before: what it said; None where there was none.
        changed_at: the mark of this change; None where it was removed.
        id: the subscription's own, where there was one before: what is held names it.
        ended_at: when it was removed.
    """

    topic: str
    before: SubscriptionSpec | None
    changed_at: datetime | None
    id: int | None = None
    ended_at: datetime | None = None


class Subscriptions:
    """The subscriptions of all workspaces. A topic is there as soon as it is named."""

    def __init__(
        self,
        database: Database,
        signals: Signals | None = None,
        limits: SubscriptionLimits | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._signals = signals or Signals()
        self._limits = limits or SubscriptionLimits()
        self._clock = clock

    def subscribe(self, team_id: str, address: str, wish: SubscriptionSpec) -> SubscriptionChange:
        """Let `address` get what it wishes; what it wished of the same topic before is replaced.

        Raises:
            ValueError: the topic or address is none.
            FilterError: the filter is none.
            TooManySubscriptionsError: there are as many as there may be.
        """
        where, topic = _channel_or_person(address), normal_pattern(wish.topic)
        words, now = str(parse_filter(wish.filter)), self._clock()
        fresh = replace(wish, topic=topic, filter=words, muted_until=None, created_at=now)
        values = {**fresh.columns(), "paused": None, "changed_at": now}
        with self._database.writing() as session:
            record_effect(session, now)
            before = _find(session, team_id, where, topic)
            if before is None:
                self._require_room(session, team_id, where)
                _mark_beginning(session, team_id, where, topic, now)
            upsert(
                session,
                Subscription,
                key={"team_id": team_id, "topic": topic, "address": where},
                insert={},
                update=values,
            )
            _audit(session, team_id, where, wish.created_by, now)
        self._tell(team_id, where)
        return _changed(topic, before, now)

    def unsubscribe(
        self, team_id: str, address: str, topic: str, *, by: str | None = None
    ) -> SubscriptionChange | None:
        """Let `address` get nothing more of `topic`; None where it did not.

        Args:
            by: the person's id; None for the command line.

        Raises:
            ValueError: the topic or address is none.
        """
        where, name, now = _channel_or_person(address), normal_pattern(topic), self._clock()
        with self._database.writing() as session:
            record_effect(session, now)
            before = _find(session, team_id, where, name)
            if before is None:
                return None
            session.execute(delete(Subscription).where(Subscription.id == before.id))
            _audit(session, team_id, where, by, now)
        self._tell(team_id, where)
        return SubscriptionChange(name, before.wish, None, before.id, now)

    def mute(
        self,
        team_id: str,
        address: str,
        until: datetime | None,
        topic: str | None = None,
        *,
        by: str | None = None,
    ) -> Sequence[SubscriptionChange]:
        """Let nothing come to `address` by its subscriptions until a moment; None ends that.

        Args:
            topic: only what comes by the subscription to this topic.
            by: the person's id; None for the command line.

        Raises:
            ValueError: the topic is none.
        """
        return self._change(team_id, address, topic, {"muted_until": until}, by)

    def digest(
        self,
        team_id: str,
        address: str,
        topic: str,
        schedule: Schedule | None,
        *,
        by: str | None = None,
    ) -> Sequence[SubscriptionChange]:
        """Let what comes by a subscription come as one, by a schedule; None ends that.

        Args:
            by: the person's id; None for the command line.

        Raises:
            ValueError: the topic is none.
        """
        return self._change(team_id, address, topic, _digest_columns(schedule), by)

    def _change(
        self,
        team_id: str,
        address: str,
        topic: str | None,
        values: Mapping[str, Any],
        by: str | None,
    ) -> Sequence[SubscriptionChange]:
        """Write what is new about subscriptions of `address`; return those it changes."""
        name, now = None if topic is None else normal_pattern(topic), self._clock()
        with self._database.writing() as session:
            record_effect(session, now)
            found = [
                one
                for one in _lock_of(session, team_id, address)
                if name in (None, one.wish.topic)
                and not values.items() <= one.wish.columns().items()
            ]
            mine = update(Subscription).where(Subscription.id.in_([one.id for one in found]))
            session.execute(mine.values(**values, changed_at=now))
            if found:
                _audit(session, team_id, address, by, now)
        self._tell(team_id, address)
        return [_changed(one.wish.topic, one, now) for one in found]

    def undo(
        self,
        team_id: str,
        address: str,
        changes: Sequence[SubscriptionChange],
        *,
        by: str | None = None,
    ) -> bool:
        """Put things back as they were before `changes`, unless they were changed again since.

        A removal can be undone for a day, and only the latest one of a topic.

        Args:
            by: the person's id, who is named for what was removed and comes back: its creator
                may have left. No button keeps the id of a person.

        Returns: whether it was done; all is undone or nothing.

        Raises:
            TooManySubscriptionsError: there are as many as there may be.
        """
        now = self._clock()
        try:
            with self._database.writing() as session:
                record_effect(session, now)
                there = {one.wish.topic: one for one in _lock_of(session, team_id, address)}
                for change in changes:
                    found = there.get(change.topic)
                    if (found and found.changed_at) != change.changed_at:
                        return False
                    if found is None and not _is_latest(session, team_id, address, change, now):
                        return False
                for change in changes:
                    self._put_back(session, team_id, address, change, by)
                _audit(session, team_id, address, by, now)
        except (IntegrityError, ValueError):
            # Somebody has subscribed in the same moment; or what was there before cannot be read.
            return False
        self._tell(team_id, address)
        return True

    def _require_room(self, session: Session, team_id: str, address: str) -> None:
        """Make sure that there may be another subscription; no other begins meanwhile.

        Raises:
            TooManySubscriptionsError: there may not.
        """
        # Locks the workspace, after subscriptions, as everywhere.
        begin_change(session.connection(), [team_id])
        in_team = select(func.count()).where(Subscription.team_id == team_id)
        here = in_team.where(Subscription.address == address)
        limits = self._limits
        if session.scalars(here).one() >= limits.per_destination:
            where = "This person" if is_person(address) else "This channel"
            raise TooManySubscriptionsError(where, limits.per_destination)
        if session.scalars(in_team).one() >= limits.per_workspace:
            raise TooManySubscriptionsError("This workspace", limits.per_workspace)

    def _tell(self, team_id: str, address: str) -> None:
        if is_person(address):
            self._signals.person_changed(team_id, address)

    def _put_back(
        self,
        session: Session,
        team_id: str,
        address: str,
        change: SubscriptionChange,
        by: str | None,
    ) -> None:
        where = (
            Subscription.team_id == team_id,
            Subscription.address == address,
            Subscription.topic == change.topic,
        )
        if change.before is None:
            session.execute(delete(Subscription).where(*where))
            return
        now, before = self._clock(), _checked(change.before)
        values = {
            **before.columns(),
            "created_at": before.created_at or now,
            "changed_at": now,
        }
        if change.changed_at is None:
            self._require_room(session, team_id, address)
            _mark_beginning(session, team_id, address, change.topic, now)
            key = {"id": change.id, "team_id": team_id, "address": address}
            session.execute(insert(Subscription).values({**values, "created_by": by, **key}))
        else:
            # The creator stays as it is: the earlier one may have left since.
            values.pop("created_by")
            session.execute(update(Subscription).where(*where).values(values))

    def of_address(self, team_id: str, address: str) -> list[StoredSubscription]:
        """Return the subscriptions of a channel or person, by topic, with what came last."""
        values = {"team_id": team_id, "address": address}
        return [_with_last(row) for row in self._database.fetch(_OF_ADDRESS, values)]

    def of_team(self, team_id: str) -> list[StoredSubscription]:
        """Return every subscription of a workspace, by topic."""
        mine = (
            select(Subscription)
            .where(Subscription.team_id == team_id)
            .order_by(Subscription.topic, Subscription.id)
        )
        with self._database.reading() as session:
            return [_stored(row) for row in session.scalars(mine)]


def _audit(session: Session, team_id: str, address: str, by: str | None, now: datetime) -> None:
    """Record who changes what comes to a channel; what comes to a person is theirs to know."""
    if is_person(address):
        return
    write_audit(
        session,
        AuditAction.CHANNEL_SUBSCRIPTIONS_CHANGED,
        at=now,
        team_id=team_id,
        user_id=by,
        credential=f"channel:{address}"[:64],
    )


def _mark_beginning(
    session: Session, team_id: str, address: str, topic: str, now: datetime
) -> None:
    """Write down that a subscription begins: what ended earlier is not to be undone any more."""
    key = {"event_id": _mark(team_id, address, topic)}
    upsert(session, EventReceipt, key=key, insert={}, update={"received_at": now})


def _is_latest(
    session: Session, team_id: str, address: str, change: SubscriptionChange, now: datetime
) -> bool:
    """Whether a subscription that is not there ended by this change, and by no later one.

    The mark of its beginning is kept as long as receipts are, and so long this can be told.
    """
    if change.ended_at is None or now - change.ended_at >= RECEIPT_LIFETIME:
        return False
    mark = EventReceipt.event_id == _mark(team_id, address, change.topic)
    begun_at = session.scalar(select(EventReceipt.received_at).where(mark))
    return begun_at is None or begun_at <= change.ended_at


def _mark(team_id: str, address: str, topic: str) -> str:
    return sha256(f"subscription:{team_id}:{address}:{topic}".encode()).hexdigest()


def _checked(wish: SubscriptionSpec) -> SubscriptionSpec:
    """Return a wish that comes from a button, if it could be stored otherwise too.

    Raises:
        ValueError: it could not.
    """
    if wish.mode is not None and wish.mode not in get_args(Mode):
        raise ValueError("no mode")
    if wish.digest is not None and not is_zone(wish.digest.tz):
        raise ValueError("no time zone")
    return replace(wish, topic=normal_pattern(wish.topic), filter=str(parse_filter(wish.filter)))


def _channel_or_person(address: str) -> str:
    where = normal_address(address)
    if topic_of(where) is not None:
        raise TopicLoopError
    return where


def _select_of(team_id: str, address: str) -> Select[Subscription]:
    mine = (Subscription.team_id == team_id, Subscription.address == address)
    return select(Subscription).where(*mine).order_by(Subscription.topic)


def _lock_of(session: Session, team_id: str, address: str) -> list[StoredSubscription]:
    """Lock the subscriptions of a channel or person until the transaction ends; return them."""
    statement = _select_of(team_id, address).with_for_update()
    return [_stored(row) for row in session.scalars(statement)]


def _find(session: Session, team_id: str, address: str, topic: str) -> StoredSubscription | None:
    one = _select_of(team_id, address).where(Subscription.topic == topic).with_for_update()
    row = session.scalar(one)
    return None if row is None else _stored(row)


def _with_last(row: Row[*tuple[Any, ...]]) -> StoredSubscription:
    last = None
    if row.last_state is not None:
        last = LastDelivery(shown_state(row.last_state), row.last_at)
    return replace(_stored(row), last=last)


def _stored(row: Subscription | Row[*tuple[Any, ...]]) -> StoredSubscription:
    read = read_subscription(row)
    unreadable = read.unreadable
    if row.muted_until == LONG_PAST:
        unreadable = (*unreadable, "mute")
    wish = SubscriptionSpec(
        row.topic,
        row.filter,
        read.mode,
        row.muted_until,
        row.created_by,
        row.created_at,
        read.digest,
    )
    return StoredSubscription(
        row.id, row.address, wish, row.changed_at, row.paused, unreadable=unreadable
    )


def _changed(
    topic: str, before: StoredSubscription | None, now: datetime | None
) -> SubscriptionChange:
    if before is None:
        return SubscriptionChange(topic, None, now)
    return SubscriptionChange(topic, before.wish, now, before.id)


def _digest_columns(schedule: Schedule | None) -> dict[str, str | None]:
    if schedule is None:
        return {"digest": None, "digest_tz": None}
    return {"digest": str(schedule), "digest_tz": schedule.tz}
