"""Transitions of deliveries without an attempt: promotion when due, moves to destinations, ends.

Each is a locked and numbered change of the workspace, which its owner reads in the change feed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    exists,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import (
    IS_HELD,
    IS_LATER,
    IS_PENDING,
    IS_WAITING,
    Delivery,
    Lane,
    Notification,
    WorkspaceQueue,
)
from bolt_app.logs import describe_error
from bolt_app.notifications.content.ids import id_of_moment
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.outcomes import Outcome
from bolt_app.notifications.digests.hold import hold_in_lane
from bolt_app.notifications.digests.release import HeldLane, release
from bolt_app.notifications.incidents.messages import (
    IncidentChange,
    IncidentMessage,
    refresh_messages,
)
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.lanes import (
    ensure_lanes,
    lane_id_of,
    mark_successor,
    pending_in,
    pending_in_any,
)
from bolt_app.notifications.queue.moved_channels import NOT_FOUND, follow_move
from bolt_app.slack_ids import NOBODY, is_destination, is_person
from bolt_app.workspaces.channel_names import find_named

logger = logging.getLogger(__name__)

# Senders whose shares of the lookups a lane may use.
MOST_SENDERS = 20
# Due rows that are read together.
BATCH = 1000
# Of so many of one workspace the others follow later: other workspaces go first.
MANY = 100
# Lanes of a workspace that one transaction releases: each takes milliseconds.
RELEASED_AT_ONCE = 25
# Rows of a lane that one transaction moves or ends.
CHANGED_AT_ONCE = 200
# https://www.postgresql.org/docs/current/errcodes-appendix.html
LOCK_NOT_AVAILABLE = "55P03"
CLOCK_TOLERANCE = timedelta(seconds=2)
_OWNED = is_any_of(WorkspaceQueue.shard, "shards")
_IS_SCHEDULED = text("deliveries.state = 'scheduled'")
_IS_TO_EMAIL = Delivery.target.startswith("@")
_DUE = (
    select(
        Delivery.id,
        Delivery.team_id,
        Delivery.lane_id,
        Delivery.state,
        Delivery.source,
        Delivery.rank,
        Delivery.urgency,
        Delivery.key,
        Delivery.mode,
        Lane.address,
    )
    .join(Lane)
    .join(WorkspaceQueue, WorkspaceQueue.team_id == Delivery.team_id)
    .where(
        IS_LATER,
        Delivery.send_at <= bindparam("now"),
        _OWNED,
        ~is_any_of(Delivery.team_id, "with_many"),
    )
    .order_by(Delivery.send_at)
    .limit(BATCH)
)
_NEXT = (
    select(Delivery.send_at)
    .join(WorkspaceQueue, WorkspaceQueue.team_id == Delivery.team_id)
    .where(IS_LATER, Delivery.send_at > bindparam("now"), _OWNED)
    .order_by(Delivery.send_at)
    .limit(1)
)
# Written while the clock was wrong.
_FROM_LATER = and_(IS_LATER, IS_HELD, Delivery.notification_id >= bindparam("limit"), _OWNED)
_FUTURE = (
    select(Delivery.id, Delivery.team_id)
    .join(WorkspaceQueue, WorkspaceQueue.team_id == Delivery.team_id)
    .where(_FROM_LATER)
)
_LATEST_SHOWN = (
    select(
        Delivery.lane_id,
        Delivery.target,
        Delivery.notification_id,
        Delivery.channel_id,
        Delivery.ts,
        Delivery.thread_ts,
        Delivery.source,
        Delivery.subscription_id,
        Delivery.recipient_id,
        Delivery.key,
        Delivery.id,
    )
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.channel_id == bindparam("channel_id"),
        Delivery.ts == bindparam("ts"),
        Delivery.ts.is_not(None),
        Delivery.state == DeliveryState.SENT,
    )
    .order_by(Delivery.finished_at.desc(), Delivery.id.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Promoted:
    """The result of a promotion.

    Attributes:
        team_ids: the workspaces that changed.
        names: due held deliveries in lanes whose names must be resolved first.
        next_at: when the next delivery is due, if any.
    """

    team_ids: Collection[str]
    names: Sequence[Any]
    next_at: datetime | None


class Transitions:
    """Changes deliveries as time passes and destinations are resolved."""

    def __init__(self, database: Database, public_url: str, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._public_url = public_url
        self._clock = clock

    def promote(self, shards: Collection[int]) -> Promoted:
        """Queue due scheduled deliveries, and release due held ones: some of each workspace."""
        now = self._clock()
        values = {"now": now, "shards": list(shards)}
        with self._database.reading_connection() as connection:
            due = _find_due(connection, values)
            next_at = connection.scalar(_NEXT, values)
        names = [
            row
            for row in due
            if row.state == DeliveryState.HELD and not is_destination(row.address)
        ]
        ready = [
            row for row in due if row.state != DeliveryState.HELD or is_destination(row.address)
        ]
        team_ids = sorted({row.team_id for row in ready})
        has_more = bool(ready) and len(due) >= BATCH
        for team_id in team_ids:
            rows = [row for row in ready if row.team_id == team_id]
            first = _of_first_lanes(rows)
            has_more |= len(first) < len(rows)
            try:
                self._promote(team_id, first, now)
            except OperationalError as error:
                # A workspace whose row is locked for long must not delay the others.
                if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                    raise
                logger.warning("a workspace is locked", extra={"error": describe_error(error)})
        return Promoted(team_ids, names, now if has_more else next_at)

    def forget_future(self, shards: Collection[int]) -> None:
        """Make held deliveries due now that were accepted by a clock ahead of ours."""
        now = self._clock()
        limit = id_of_moment(now + CLOCK_TOLERANCE)
        values = {"limit": limit, "shards": list(shards)}
        with self._database.writing_connection() as connection:
            rows = connection.execute(_FUTURE, values).all()
            numbers = begin_change(connection, {row.team_id for row in rows})
            for row in rows:
                released = {"send_at": now, "seq": numbers[row.team_id]}
                held = update(Delivery).where(Delivery.id == row.id, IS_HELD)
                connection.execute(held.values(released))

    def move(self, team_id: str, lane_id: int, address: str) -> None:
        """Move the pending deliveries of a name's lane to its destination, in order."""

        def move_some(connection: Connection, ids: Sequence[int], seq: int) -> None:
            hold_in_lane(connection, team_id, lane_id, ids, address, seq, self._clock())
            ensure_lanes(connection, [(team_id, address)])
            moved = {"lane_id": lane_id_of(team_id, address), "seq": seq, "retry_at": None}
            if is_person(address):
                # An e-mail address may be another person's when a later delivery is due.
                is_undecided = and_(_IS_TO_EMAIL, Delivery.state != DeliveryState.WAITING)
                moved["recipient_id"] = case((is_undecided, Delivery.recipient_id), else_=address)
            connection.execute(update(Delivery).where(_pending([lane_id], ids)).values(moved))
            mark_successor(connection, lane_id, team_id, address)

        # Later ones join the lane while there are earlier ones.
        while self._change_pending(team_id, [lane_id], move_some):
            pass

    def end_lane(self, team_id: str, lane_id: int, error: str | None) -> None:
        """End the due deliveries of a lane without a destination.

        Later ones may have one when they are due.
        """
        self._end_pending(team_id, [lane_id], error, self._is_due())

    def follow_move(self, team_id: str, channel_id: str) -> bool:
        """Move rows stored with a channel's former id; return whether the id has changed."""
        with self._database.writing_connection() as connection:
            return follow_move(connection, team_id, channel_id, self._clock())

    def end_unlisted(self, team_id: str, listed_at: datetime) -> None:
        """After a channel listing, move or end due deliveries to channel names.

        Deliveries accepted after the listing are kept: their channel may have been created since.
        So are those that are due later: until something is sent, an unknown name looks like that of
        a private channel.
        """
        before = id_of_moment(listed_at + timedelta(milliseconds=1))
        lanes = (
            select(Lane.id, Lane.address)
            .where(Lane.team_id == team_id, Lane.address.startswith("#"))
            .where(exists().where(Delivery.lane_id == Lane.id, IS_PENDING, self._is_due()))
        )
        with self._database.reading_connection() as connection:
            rows = connection.execute(lanes).all()
            known = find_named(connection, team_id, {row.address[1:] for row in rows})
        unlisted = []
        for row in rows:
            channel_id = known.get(row.address[1:])
            if channel_id is not None:
                self.move(team_id, row.id, channel_id)
            else:
                unlisted.append(row.id)
        is_old = Delivery.notification_id < before
        for start in range(0, len(unlisted), CHANGED_AT_ONCE):
            some = unlisted[start : start + CHANGED_AT_ONCE]
            self._end_pending(team_id, some, NOT_FOUND, is_old, self._is_due())

    def fail(self, team_id: str, delivery_id: int, outcome: Outcome, retry_for: timedelta) -> bool:
        """Store a failed resolution of a lane's name, and end deliveries that failed for too long.

        One that Bellhop's own limit prevented did not fail.

        Returns: whether the lane has due deliveries left.
        """
        now = self._clock()
        lanes = select(Delivery.lane_id, Lane.failing_since).join(Lane)
        with self._database.writing_connection() as connection:
            begin_change(connection, [team_id])
            row = connection.execute(lanes.where(Delivery.id == delivery_id)).first()
            if row is None:
                return False
            error, is_failure = outcome.error, outcome.is_failure
            since = row.failing_since or now
            lane = update(Lane).where(Lane.id == row.lane_id)
            if is_failure:
                connection.execute(lane.values(failing_since=since))
            again: dict[str, Any] = {
                "error": error,
                "retry_at": now + timedelta(seconds=outcome.wait),
            }
            waiting = update(Delivery).where(Delivery.id == delivery_id, IS_WAITING)
            again["attempts"] = Delivery.attempts + int(is_failure)
            connection.execute(waiting.values(again))
        if is_failure and since <= now - retry_for:
            self._end_pending(team_id, [row.lane_id], error, Delivery.send_at <= now - retry_for)
        return self.first_due(row.lane_id) is not None

    def senders_of(self, lane_id: int) -> Collection[str]:
        """Return the senders of a lane's pending deliveries, at most `MOST_SENDERS`."""
        senders = (
            select(Notification.source)
            .join(Delivery, Delivery.notification_id == Notification.id)
            .where(pending_in(lane_id))
            .distinct()
            .limit(MOST_SENDERS)
        )
        with self._database.reading_connection() as connection:
            return connection.scalars(senders).all()

    def first_due(self, lane_id: int) -> Any:
        """Return the first pending delivery of a lane that is due, with its address, or None."""
        left = select(Delivery.id, Delivery.attempts, Lane.address).join(Lane)
        with self._database.reading_connection() as connection:
            due = left.where(pending_in(lane_id), self._is_due())
            return connection.execute(due.order_by(Delivery.id).limit(1)).first()

    def _is_due(self) -> ColumnElement[bool]:
        return or_(Delivery.state == DeliveryState.WAITING, Delivery.send_at <= self._clock())

    def find_latest_shown(self, lane_id: int, channel_id: str, ts: str) -> Any:
        """Return the delivery whose content a message should show, or None."""
        with self._database.reading_connection() as connection:
            return _latest_shown(connection, lane_id, channel_id, ts)

    def show_again(self, team_id: str, lane_id: int, channel_id: str, ts: str) -> None:
        """Queue a refresh of a message, unless its person was erased meanwhile."""
        with self._database.writing_connection() as connection:
            seq = begin_change(connection, [team_id])[team_id]
            row = _latest_shown(connection, lane_id, channel_id, ts)
            if row is None:
                return
            message = IncidentMessage(
                row.lane_id,
                row.key or row.notification_id,
                row.target,
                row.notification_id,
                row.channel_id,
                row.ts,
                row.thread_ts,
                row.source,
                row.subscription_id,
                row.recipient_id,
            )
            refresh_messages(connection, IncidentChange(team_id, seq, self._clock()), [message])

    def _promote(self, team_id: str, rows: Sequence[Any], now: datetime) -> None:
        with self._database.writing_connection() as connection:
            seq = begin_change(connection, [team_id])[team_id]
            scheduled = [row.id for row in rows if row.state == DeliveryState.SCHEDULED]
            if scheduled:
                is_due = (
                    is_any_of(Delivery.id, values=scheduled),
                    _IS_SCHEDULED,
                    Delivery.send_at <= now,
                )
                statement = (
                    update(Delivery).where(*is_due).values(state=DeliveryState.WAITING, seq=seq)
                )
                connection.execute(statement)
            held = {row.lane_id: row.address for row in rows if row.state == DeliveryState.HELD}
            for lane_id, address in held.items():
                lane = HeldLane(lane_id, team_id, address)
                release(connection, lane, self._public_url, seq, now)

    def _change_pending(
        self,
        team_id: str,
        lane_ids: Collection[int],
        change: Callable[[Connection, Sequence[int], int], None],
        *which: ColumnElement[bool],
    ) -> bool:
        """Change the pending deliveries of lanes in order, some in each transaction.

        Others wait for a transaction, and a lane may have 100,000 of them.

        Args:
            change: takes the connection, ids that may have changed since they were read, and the
                number of the change.
            which: conditions.

        Returns: whether there were any.
        """
        is_pending = pending_in_any(lane_ids)
        pending = select(Delivery.id).where(is_pending, *which).order_by(Delivery.id)
        with self._database.reading_connection() as connection:
            ids = connection.scalars(pending).all()
        for start in range(0, len(ids), CHANGED_AT_ONCE):
            with self._database.writing_connection() as connection:
                seq = begin_change(connection, [team_id])[team_id]
                change(connection, ids[start : start + CHANGED_AT_ONCE], seq)
        return bool(ids)

    def _end_pending(
        self,
        team_id: str,
        lane_ids: Collection[int],
        error: str | None,
        *which: ColumnElement[bool],
    ) -> None:
        def end_some(connection: Connection, ids: Sequence[int], seq: int) -> None:
            ended = self._unresolved(error, seq)
            connection.execute(update(Delivery).where(_pending(lane_ids, ids)).values(ended))

        self._change_pending(team_id, lane_ids, end_some, *which)

    def _unresolved(self, error: str | None, seq: int) -> dict[str, Any]:
        """Return the column values of deliveries whose address led nowhere."""
        return {
            "state": DeliveryState.DEAD,
            "error": error,
            "finished_at": self._clock(),
            "seq": seq,
            "recipient_id": case((_IS_TO_EMAIL, NOBODY), else_=Delivery.recipient_id),
        }


def _latest_shown(connection: Connection, lane_id: int, channel_id: str, ts: str) -> Any:
    values = {"lane_id": lane_id, "channel_id": channel_id, "ts": ts}
    return connection.execute(_LATEST_SHOWN, values).first()


def _pending(lane_ids: Collection[int], ids: Collection[int]) -> ColumnElement[bool]:
    is_in_lane = is_any_of(Delivery.lane_id, values=lane_ids)
    return and_(is_any_of(Delivery.id, values=ids), is_in_lane, IS_PENDING)


def _find_due(connection: Connection, values: Mapping[str, Any]) -> Collection[Any]:
    """Return due rows: the first of all workspaces, however many one of them has."""
    due: dict[int, Any] = {}
    with_many: list[str] = []
    while True:
        rows = connection.execute(_DUE, {**values, "with_many": with_many}).all()
        due |= {row.id: row for row in rows}
        counts = Counter(row.team_id for row in rows)
        found = [team_id for team_id, count in counts.items() if count >= MANY]
        if len(rows) < BATCH or not found:
            return due.values()
        with_many += found


def _of_first_lanes(rows: Sequence[Any]) -> Sequence[Any]:
    """Return the rows of a workspace without those of lanes that are released later."""
    held = dict.fromkeys(row.lane_id for row in rows if row.state == DeliveryState.HELD)
    later = set(list(held)[RELEASED_AT_ONCE:])
    return [row for row in rows if row.lane_id not in later]
