"""Subscriptions of channels and people to topics: create, change, mute, undo, list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import IS_HELD, IS_LATER, Delivery, EventReceipt, Subscription
from bolt_app.db.receipts import RECEIPT_LIFETIME, record_effect
from bolt_app.db.types import LONG_PAST
from bolt_app.db.upsert import upsert
from bolt_app.notifications.content.modes import FOLLOW_UPS, Mode
from bolt_app.notifications.content.states import shown_state
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.lanes import lane_id_of
from bolt_app.notifications.subscriptions.errors import TooManySubscriptionsError, TopicLoopError
from bolt_app.notifications.subscriptions.filters import parse_filter
from bolt_app.notifications.subscriptions.schedules import Schedule, is_zone
from bolt_app.notifications.subscriptions.store import read_subscription
from bolt_app.recipients import normal_address, topic_of
from bolt_app.signals import Signals
from bolt_app.slack_ids import is_person, leads_to_person

# Prepared once because it runs for every App Home.
_LATEST = (
    select(func.max(Delivery.id))
    .where(Delivery.subscription_id == Subscription.id, Delivery.mode.not_in(FOLLOW_UPS))
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


@dataclass(frozen=True)
class SubscriptionLimits:
    """Limits on the number of subscriptions."""

    per_destination: int = 100
    per_workspace: int = 10_000


@dataclass(frozen=True)
class SubscriptionSpec:
    """The settings of a subscription.

    Attributes:
        topic: a topic, `name/*` or `*`.
        filter: as `filters.parse_filter` takes it; empty selects everything.
        mode: of notifications with a key; None leaves it to their sender.
        digest: the schedule of digests; None delivers immediately.
        muted_until: nothing is delivered before this moment.
        created_by: the person's id; None for the command line.
    """

    topic: str
    filter: str = field(default="", repr=False)
    mode: Mode | None = None
    muted_until: datetime | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    digest: Schedule | None = None

    def columns(self) -> dict[str, Any]:
        """Return the values of its columns, by name."""
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
    """The latest delivery of a subscription."""

    state: str
    at: datetime


@dataclass(frozen=True)
class StoredSubscription:
    """A subscription, and its latest delivery.

    Attributes:
        paused: the reason, a `PauseReason`; None if it is active.
        unreadable: the fields that cannot be read; a subscription with any delivers nothing.
    """

    id: int
    address: str = field(repr=False)
    spec: SubscriptionSpec
    changed_at: datetime
    paused: str | None = None
    last: LastDelivery | None = None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubscriptionChange:
    """A change of one subscription.

    Attributes:
        before: its earlier settings; None if it is new.
        changed_at: identifies this change; None if it was removed.
        id: of the earlier subscription, to which held deliveries refer.
        ended_at: when it was removed.
    """

    topic: str
    before: SubscriptionSpec | None
    changed_at: datetime | None
    id: int | None = None
    ended_at: datetime | None = None


class Subscriptions:
    """The subscriptions of all workspaces. Topics need not be created first."""

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

    def subscribe(self, team_id: str, address: str, spec: SubscriptionSpec) -> SubscriptionChange:
        """Create or replace a subscription.

        Raises:
            ValueError: the topic or address is invalid.
            FilterError: the filter is invalid.
            TooManySubscriptionsError: the limit is reached.
        """
        subscriber, topic = _channel_or_person(address), normal_pattern(spec.topic)
        filter_, now = str(parse_filter(spec.filter)), self._clock()
        created = replace(spec, topic=topic, filter=filter_, muted_until=None, created_at=now)
        values = {**created.columns(), "paused": None, "changed_at": now}
        with self._database.writing() as session:
            record_effect(session, now, team_id)
            before = _find(session, team_id, subscriber, topic)
            if before is None:
                self._require_room(session, team_id, subscriber)
                _record_start(session, team_id, subscriber, topic, now)
            upsert(
                session,
                Subscription,
                key={"team_id": team_id, "topic": topic, "address": subscriber},
                insert={},
                update=values,
            )
            if before is not None:
                _move_mute_end(session, team_id, before, None, now)
            _audit(session, team_id, subscriber, spec.created_by, now)
        self._publish(team_id, subscriber)
        return _changed(topic, before, now)

    def unsubscribe(
        self, team_id: str, address: str, topic: str, *, by: str | None = None
    ) -> SubscriptionChange | None:
        """Delete a subscription.

        Args:
            by: the person's id; None for the command line.

        Returns: None if it did not exist.

        Raises:
            ValueError: the topic or address is invalid.
        """
        subscriber, pattern = _channel_or_person(address), normal_pattern(topic)
        now = self._clock()
        with self._database.writing() as session:
            record_effect(session, now, team_id)
            before = _find(session, team_id, subscriber, pattern)
            if before is None:
                return None
            session.execute(delete(Subscription).where(Subscription.id == before.id))
            _audit(session, team_id, subscriber, by, now)
        self._database.forget_deleted()
        self._publish(team_id, subscriber)
        return SubscriptionChange(pattern, before.spec, None, before.id, now)

    def mute(
        self,
        team_id: str,
        address: str,
        until: datetime | None,
        topic: str | None = None,
        *,
        by: str | None = None,
    ) -> Sequence[SubscriptionChange]:
        """Mute subscriptions until a moment, or with None unmute them.

        Args:
            topic: only the subscription to this topic.
            by: the person's id; None for the command line.

        Raises:
            ValueError: the topic is invalid.
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
        """Set the digest schedule of a subscription, or with None end its digests.

        Args:
            by: the person's id; None for the command line.

        Raises:
            ValueError: the topic is invalid.
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
        """Store new values of subscriptions of `address`; return the changes."""
        pattern, now = None if topic is None else normal_pattern(topic), self._clock()
        with self._database.writing() as session:
            record_effect(session, now, team_id)
            changed = [
                subscription
                for subscription in _lock_of(session, team_id, address)
                if pattern in (None, subscription.spec.topic)
                and not values.items() <= subscription.spec.columns().items()
            ]
            ids = [subscription.id for subscription in changed]
            statement = update(Subscription).where(is_any_of(Subscription.id, values=ids))
            session.execute(statement.values(**values, changed_at=now))
            for subscription in changed if "muted_until" in values else ():
                _move_mute_end(session, team_id, subscription, values["muted_until"], now)
            if changed:
                _audit(session, team_id, address, by, now)
        self._publish(team_id, address)
        return [_changed(subscription.spec.topic, subscription, now) for subscription in changed]

    def undo(
        self,
        team_id: str,
        address: str,
        changes: Sequence[SubscriptionChange],
        *,
        by: str | None = None,
    ) -> bool:
        """Undo changes, unless the subscriptions were changed again since.

        A removal can be undone for a day, and only the latest one of a topic.

        Args:
            by: the person's id, who becomes the creator of a restored subscription: the earlier
                creator may have left, and the button does not keep a person's id.

        Returns: whether all changes were undone; otherwise none was.

        Raises:
            TooManySubscriptionsError: the limit is reached.
        """
        now = self._clock()
        try:
            with self._database.writing() as session:
                record_effect(session, now, team_id)
                current = {
                    subscription.spec.topic: subscription
                    for subscription in _lock_of(session, team_id, address)
                }
                for change in changes:
                    found = current.get(change.topic)
                    if (found and found.changed_at) != change.changed_at:
                        return False
                    if found is None and not _is_latest(session, team_id, address, change, now):
                        return False
                for change in changes:
                    self._restore(session, team_id, address, change, by)
                for change in changes:
                    muted = current.get(change.topic)
                    if muted is not None and change.before is not None:
                        until = change.before.muted_until
                        _move_mute_end(session, team_id, muted, until, now)
                _audit(session, team_id, address, by, now)
        except (IntegrityError, ValueError):
            # A concurrent subscription, or unreadable earlier settings.
            return False
        if any(change.before is None for change in changes):
            self._database.forget_deleted()
        self._publish(team_id, address)
        return True

    def _require_room(self, session: Session, team_id: str, address: str) -> None:
        """Check the limits, and lock the workspace so that no other subscription is created.

        Raises:
            TooManySubscriptionsError: a limit is reached.
        """
        # Locks the workspace, after subscriptions, as everywhere.
        begin_change(session.connection(), [team_id])
        in_team = select(func.count()).where(Subscription.team_id == team_id)
        of_address = in_team.where(Subscription.address == address)
        limits = self._limits
        if session.scalars(of_address).one() >= limits.per_destination:
            subscriber = "This person" if leads_to_person(address) else "This channel"
            raise TooManySubscriptionsError(subscriber, limits.per_destination)
        if session.scalars(in_team).one() >= limits.per_workspace:
            raise TooManySubscriptionsError("This workspace", limits.per_workspace)

    def _publish(self, team_id: str, address: str) -> None:
        if is_person(address):
            self._signals.person_changed(team_id, address)

    def _restore(
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
            _record_start(session, team_id, address, change.topic, now)
            key = {"id": change.id, "team_id": team_id, "address": address}
            session.execute(insert(Subscription).values({**values, "created_by": by, **key}))
        else:
            # The current creator stays: the earlier one may have left.
            values.pop("created_by")
            session.execute(update(Subscription).where(*where).values(values))

    def of_address(self, team_id: str, address: str) -> list[StoredSubscription]:
        """Return the subscriptions of a channel or person, by topic, with their latest delivery."""
        values = {"team_id": team_id, "address": address}
        return [_with_last(row) for row in self._database.fetch(_OF_ADDRESS, values)]

    def of_team(self, team_id: str) -> list[StoredSubscription]:
        """Return every subscription of a workspace, by topic."""
        statement = (
            select(Subscription)
            .where(Subscription.team_id == team_id)
            .order_by(Subscription.topic, Subscription.id)
        )
        with self._database.reading() as session:
            return [_stored(row) for row in session.scalars(statement)]


def _audit(session: Session, team_id: str, address: str, by: str | None, now: datetime) -> None:
    """Record changes of a channel's subscriptions; a person's are private."""
    if leads_to_person(address):
        return
    write_audit(
        session,
        AuditAction.CHANNEL_SUBSCRIPTIONS_CHANGED,
        at=now,
        address=client_address(),
        team_id=team_id,
        user_id=by,
        credential=f"channel:{address}"[:64],
    )


def _move_mute_end(
    session: Session,
    team_id: str,
    before: StoredSubscription,
    until: datetime | None,
    now: datetime,
) -> None:
    """Reschedule the deliveries that wait for the end of a mute, which has changed.

    Args:
        before: the subscription before the change.
        until: the new end; None: it is over.
    """
    former = before.spec.muted_until
    if former is None or former <= now:
        return
    seq = begin_change(session.connection(), [team_id])[team_id]
    waiting = update(Delivery).where(
        Delivery.lane_id == lane_id_of(team_id, before.address),
        IS_LATER,
        IS_HELD,
        Delivery.send_at == former,
        Delivery.subscription_id == before.id,
    )
    session.execute(waiting.values(send_at=max(until or now, now), seq=seq))


def _record_start(session: Session, team_id: str, address: str, topic: str, now: datetime) -> None:
    """Record the start of a subscription, after which earlier removals cannot be undone."""
    key = {"event_id": _receipt_id(team_id, address, topic)}
    upsert(session, EventReceipt, key=key, insert={}, update={"received_at": now})


def _is_latest(
    session: Session, team_id: str, address: str, change: SubscriptionChange, now: datetime
) -> bool:
    """Whether a change is the latest removal of a subscription.

    The receipt of its start, and so the answer, is available for `RECEIPT_LIFETIME`.
    """
    if change.ended_at is None or now - change.ended_at >= RECEIPT_LIFETIME:
        return False
    receipt = EventReceipt.event_id == _receipt_id(team_id, address, change.topic)
    started_at = session.scalar(select(EventReceipt.received_at).where(receipt))
    return started_at is None or started_at <= change.ended_at


def _receipt_id(team_id: str, address: str, topic: str) -> str:
    return sha256(f"subscription:{team_id}:{address}:{topic}".encode()).hexdigest()


def _checked(spec: SubscriptionSpec) -> SubscriptionSpec:
    """Return the settings kept by a button, validated like new ones.

    Raises:
        ValueError: they are invalid.
    """
    if spec.digest is not None and not is_zone(spec.digest.tz):
        raise ValueError("invalid time zone")
    return replace(
        spec,
        topic=normal_pattern(spec.topic),
        filter=str(parse_filter(spec.filter)),
        mode=None if spec.mode is None else Mode(spec.mode),
    )


def _channel_or_person(address: str) -> str:
    normal = normal_address(address)
    if topic_of(normal) is not None:
        raise TopicLoopError
    return normal


def _select_of(team_id: str, address: str) -> Select[Subscription]:
    is_of_address = (Subscription.team_id == team_id, Subscription.address == address)
    return select(Subscription).where(*is_of_address).order_by(Subscription.topic)


def _lock_of(session: Session, team_id: str, address: str) -> list[StoredSubscription]:
    """Lock the subscriptions of a channel or person until the transaction ends; return them."""
    statement = _select_of(team_id, address).with_for_update()
    return [_stored(row) for row in session.scalars(statement)]


def _find(session: Session, team_id: str, address: str, topic: str) -> StoredSubscription | None:
    statement = _select_of(team_id, address).where(Subscription.topic == topic).with_for_update()
    row = session.scalar(statement)
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
    spec = SubscriptionSpec(
        row.topic,
        row.filter,
        read.mode,
        row.muted_until,
        row.created_by,
        row.created_at,
        read.digest,
    )
    return StoredSubscription(
        row.id, row.address, spec, row.changed_at, row.paused, unreadable=unreadable
    )


def _changed(
    topic: str, before: StoredSubscription | None, now: datetime | None
) -> SubscriptionChange:
    if before is None:
        return SubscriptionChange(topic, None, now)
    return SubscriptionChange(topic, before.spec, now, before.id)


def _digest_columns(schedule: Schedule | None) -> dict[str, str | None]:
    if schedule is None:
        return {"digest": None, "digest_tz": None}
    return {"digest": str(schedule), "digest_tz": schedule.tz}
