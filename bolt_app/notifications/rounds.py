"""A round: one transaction that writes down what came of jobs, and begins the next ones.

Before a message is sent its delivery is `sending`, in the database; after, it has its outcome. A
worker that dies in between leaves a delivery that may have been posted: whoever runs the lane next
looks for it in the channel before sending it again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, case, func, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import IS_WAITING, Delivery, Lane, Notification
from bolt_app.notifications.addresses import is_id
from bolt_app.notifications.attempts import attempt_of
from bolt_app.notifications.erasure import mark_successor
from bolt_app.notifications.holding import hold_in_lane
from bolt_app.notifications.jobs import Attempt, Done, Found, Job, LeasedLane
from bolt_app.notifications.lanes import (
    FreedLane,
    free_lanes,
    give_back,
    lease_lanes,
    lock_held,
    open_lanes,
    pause_team,
    pending_in,
    seconds_until_due,
)
from bolt_app.notifications.outcomes import Outcome
from bolt_app.notifications.pacing import Pace
from bolt_app.notifications.releasing import release

logger = logging.getLogger(__name__)

RETRY_FOR = timedelta(days=1)
# A row of `_NEXT`.
_Row = Any

_DELIVERIES = Delivery.__table__
_FINISH = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(Delivery.id == bindparam("delivery_id"))
    .values(
        state=bindparam("new_state"),
        error=bindparam("new_error"),
        # What is shown anew stays where it stands, whatever comes of it.
        channel_id=func.coalesce(bindparam("new_channel_id"), Delivery.channel_id),
        ts=func.coalesce(bindparam("new_ts"), Delivery.ts),
        # Slack may have posted a reply in the channel itself.
        thread_ts=case((bindparam("new_is_root", type_=Boolean), None), else_=Delivery.thread_ts),
        finished_at=bindparam("new_finished_at"),
    )
)
_BEGIN = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(Delivery.id == bindparam("delivery_id"))
    .values(
        state="sending",
        attempts=bindparam("new_attempts"),
        tried_at=bindparam("new_tried_at"),
        attempted_at=bindparam("new_attempted_at"),
        thread_ts=bindparam("new_thread_ts"),
    )
)
_SENDING = (
    update(Lane.__table__)  # type: ignore[arg-type]
    .where(Lane.id == bindparam("lane_id"))
    .values(sending_id=bindparam("new_sending_id"))
)
_FIRST_WAITING = (
    select(Delivery.id)
    .where(Delivery.lane_id == Lane.id, IS_WAITING, Delivery.send_at <= bindparam("now"))
    .order_by(Delivery.rank, Delivery.id)
    .limit(1)
    .correlate(Lane)
    .scalar_subquery()
)
# What a dead worker left comes first, then what waits, by priority and acceptance.
_NEXT = (
    select(
        Delivery.lane_id,
        Delivery.id,
        Delivery.notification_id,
        Delivery.state,
        Delivery.key,
        Delivery.mode,
        Delivery.on_unknown,
        Delivery.send_at,
        Delivery.expires_at,
        Delivery.attempts,
        Delivery.tried_at,
        Delivery.channel_id,
        Delivery.ts,
        Delivery.thread_ts,
        Notification.content,
    )
    .select_from(Lane)
    .join(Delivery, Delivery.id == func.coalesce(Lane.sending_id, _FIRST_WAITING))
    .join(Notification, Notification.id == Delivery.notification_id)
    .where(Lane.id.in_(bindparam("lane_ids", expanding=True)))
)
_EXPIRE = (
    update(_DELIVERIES)  # type: ignore[arg-type]
    .where(
        Delivery.lane_id.in_(bindparam("lane_ids", expanding=True)),
        IS_WAITING,
        Delivery.expires_at <= bindparam("now"),
    )
    .values(state="expired", finished_at=bindparam("now"))
)


@dataclass(frozen=True)
class Round:
    """What a round has begun, and how long nothing more is due, as far as is known."""

    jobs: list[Job]
    seconds_until_due: float | None


class Rounds:
    """Makes rounds for a worker."""

    def __init__(
        self,
        database: Database,
        *,
        pace: Pace,
        public_url: str,
        retry_for: timedelta = RETRY_FOR,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._pace = pace
        self._public_url = public_url
        self._retry_for = retry_for
        self._clock = clock

    def run(
        self,
        worker_id: str,
        done: Sequence[Done],
        *,
        most: int,
        at_most_each: int,
        room: Mapping[str, int],
    ) -> Round:
        """Write down what came of `done`, and begin up to `most` jobs.

        Args:
            at_most_each: how many jobs the worker may have of any one workspace.
            room: how many more it may have of those of which it has some.

        Returns: the jobs; each is in the database as begun.
        """
        now = self._clock()
        if not done:
            wait = self._seconds_until_due(now)
            if wait is None or wait > 0:
                return Round([], wait)
        outcomes = self._hand_on(done, now)
        pauses = _pauses(outcomes)
        if pauses:
            # In a transaction of its own: beginning locks other workspaces' rows.
            with self._database.writing_connection() as connection:
                self._write(connection, outcomes, now)
                for team_id in sorted(pauses):
                    pause_team(connection, team_id, *pauses[team_id])
            _log_pauses(pauses)
            outcomes = []
        with self._database.writing_connection() as connection:
            self._write(connection, outcomes, now)
            jobs = self._begin(connection, worker_id, most, at_most_each, room, now)
        for one in done:
            _log(one)
        return Round(jobs, None if jobs or most == 0 else self._seconds_until_due(now))

    def give_back(self, worker_id: str, keep: Collection[int]) -> None:
        """Give back the lanes that were leased in a commit whose answer was lost.

        Args:
            keep: the lanes that the worker knows it has.
        """
        with self._database.writing_connection() as connection:
            number = give_back(connection, worker_id, keep, self._clock())
        if number:
            logger.warning("lanes were leased unknown", extra={"lanes": number})

    def _seconds_until_due(self, now: datetime) -> float | None:
        with self._database.reading_connection() as connection:
            return seconds_until_due(connection, now)

    # What came of jobs.

    def _hand_on(self, done: Sequence[Done], now: datetime) -> list[Done]:
        """Move what waits in lanes of which it is found where they lead; return the other jobs."""
        for one in done:
            if isinstance(one.result, Found):
                with self._database.writing_connection() as connection:
                    if all(lock_held(connection, [one.job])):
                        _hand_on(connection, one.job.lane, one.result.address, now)
                        free_lanes(connection, [_unused(one.job.lane, now)], now)
        return [one for one in done if isinstance(one.result, Outcome)]

    def _write(self, connection: Connection, done: Sequence[Done], now: datetime) -> None:
        held = lock_held(connection, [one.job for one in done]) if done else []
        mine = [one for one, is_held in zip(done, held, strict=True) if is_held]
        if len(mine) < len(done):
            logger.warning("lanes were lost", extra={"lost": len(done) - len(mine)})
        finished, freed = [], []
        for one in mine:
            outcome = self._after_all(connection, one)
            if one.job.attempt is not None:
                finished.append(_finished(one.job.attempt, outcome, one.at))
            elif outcome.state == "dead":
                _refuse(connection, one.job.lane, outcome.error, one.at)
            freed.append(self._freed(one, outcome))
        if finished:
            connection.execute(_FINISH, finished)
        free_lanes(connection, freed, now)

    def _after_all(self, connection: Connection, one: Done) -> Outcome:
        """Return what came of a job, which is an end where its lane has failed for long enough."""
        outcome = one.outcome
        if outcome.is_final:
            return outcome
        failing_since = one.job.lane.failing_since
        cutoff = one.at - self._retry_for
        if failing_since is None or failing_since > cutoff:
            return outcome
        waiting = (Delivery.lane_id == one.job.lane.id, IS_WAITING, Delivery.send_at <= cutoff)
        connection.execute(
            update(Delivery)
            .where(*waiting)
            .values(state="dead", error=outcome.error, finished_at=one.at)
        )
        if one.job.attempt is None or one.job.attempt.send_at > cutoff:
            return outcome
        return replace(outcome, state="dead" if outcome.state == "waiting" else "unknown")

    def _freed(self, one: Done, outcome: Outcome) -> FreedLane:
        lane = one.job.lane
        since = None if outcome.is_final else lane.failing_since or one.at
        freed = FreedLane(lane, one.at + outcome.wait, lane.paced_until, since)
        if outcome.posted:
            paced_until, free_at = self._pace.channel_after(lane.paced_until, one.at)
            return replace(freed, paced_until=paced_until, free_at=free_at)
        return replace(freed, is_sending=outcome.state == "sending")

    # What comes next.

    def _begin(
        self,
        connection: Connection,
        worker_id: str,
        most: int,
        at_most_each: int,
        room: Mapping[str, int],
        now: datetime,
    ) -> list[Job]:
        if most == 0:
            return []
        leased = lease_lanes(
            connection,
            worker_id,
            room,
            most=most,
            at_most_each=at_most_each,
            pace=self._pace,
            now=now,
        )
        jobs = [Job(lane) for lane in leased if not is_id(lane.address)]
        channels = [lane for lane in leased if is_id(lane.address)]
        if channels:
            jobs += self._begin_attempts(connection, channels, now)
        return jobs

    def _begin_attempts(
        self, connection: Connection, lanes: Sequence[LeasedLane], now: datetime
    ) -> list[Job]:
        release(connection, lanes, self._public_url, now)
        next_of = _next_deliveries(connection, lanes, now)
        begun = [
            Job(lane, attempt_of(connection, lane, next_of[lane.id], now))
            for lane in lanes
            if lane.id in next_of
        ]
        idle = [lane for lane in lanes if lane.id not in next_of]
        if begun:
            _write_begun(connection, begun, next_of, now)
        free_lanes(connection, [_unused(lane, now) for lane in idle], now)
        return begun


def _write_begun(
    connection: Connection, begun: Iterable[Job], rows: Mapping[int, _Row], now: datetime
) -> None:
    attempts = [(job.lane.id, job.attempt) for job in begun if job.attempt is not None]
    connection.execute(
        _BEGIN,
        [
            {
                "delivery_id": attempt.delivery_id,
                "new_attempts": attempt.number,
                "new_tried_at": rows[lane_id].tried_at or now,
                "new_attempted_at": now,
                "new_thread_ts": attempt.thread_ts,
            }
            for lane_id, attempt in attempts
        ],
    )
    connection.execute(
        _SENDING,
        [
            {"lane_id": lane_id, "new_sending_id": attempt.delivery_id}
            for lane_id, attempt in attempts
        ],
    )


def _next_deliveries(
    connection: Connection, lanes: Sequence[LeasedLane], now: datetime
) -> dict[int, _Row]:
    """Return what comes next in each lane that has something, past what has expired."""
    ids = {"lane_ids": [lane.id for lane in lanes], "now": now}
    rows = connection.execute(_NEXT, ids).all()
    late = [row.lane_id for row in rows if _is_expired(row, now)]
    if late:
        connection.execute(_EXPIRE, {"lane_ids": late, "now": now})
        rows = connection.execute(_NEXT, ids).all()
    return {row.lane_id: row for row in rows}


def _is_expired(row: _Row, now: datetime) -> bool:
    return row.state == "waiting" and row.expires_at is not None and row.expires_at <= now


def _finished(attempt: Attempt, outcome: Outcome, at: datetime) -> dict[str, Any]:
    return {
        "delivery_id": attempt.delivery_id,
        "new_state": outcome.state,
        "new_error": outcome.error,
        "new_channel_id": outcome.channel_id,
        "new_ts": outcome.ts,
        "new_is_root": outcome.is_reply is False,
        "new_finished_at": at if outcome.is_final else None,
    }


def _pauses(done: Sequence[Done]) -> dict[str, tuple[datetime, str | None]]:
    """Return which workspaces are to be left alone, until when, and why."""
    pauses: dict[str, tuple[datetime, str | None]] = {}
    for one in done:
        if one.outcome.team_wait is not None:
            team_id, until = one.job.lane.team_id, one.at + one.outcome.team_wait
            before = pauses.get(team_id, (until, None))
            pauses[team_id] = max(until, before[0]), one.outcome.team_reason or before[1]
    return pauses


def _log_pauses(pauses: Mapping[str, tuple[datetime, str | None]]) -> None:
    for team_id, (until, reason) in pauses.items():
        if reason is not None:
            told = {"team_id": team_id, "error": reason, "until": until.isoformat()}
            logger.warning("a workspace gets nothing until Bellhop is installed again", extra=told)


def _unused(lane: LeasedLane, now: datetime) -> FreedLane:
    return FreedLane(lane, now, lane.paced_until, lane.failing_since)


def _hand_on(connection: Connection, lane: LeasedLane, address: str, now: datetime) -> None:
    """Move what waits in the lane of a name to the lane it leads to, in its order."""
    mine = pending_in(lane.id)
    hold_in_lane(connection, lane, address, now)
    wake_at = connection.scalar(select(func.min(Delivery.send_at)).where(mine))
    if wake_at is None:
        return
    open_lanes(connection, {(lane.team_id, address): wake_at})
    there = select(Lane.id).where(Lane.team_id == lane.team_id, Lane.address == address)
    connection.execute(update(Delivery).where(mine).values(lane_id=there.scalar_subquery()))
    mark_successor(connection, lane.id, lane.team_id, address)


def _refuse(connection: Connection, lane: LeasedLane, error: str | None, at: datetime) -> None:
    """End everything that waits in a lane that leads nowhere."""
    connection.execute(
        update(Delivery)
        .where(pending_in(lane.id))
        .values(state="dead", error=error, finished_at=at)
    )


def _log(one: Done) -> None:
    if one.job.attempt is None:
        return
    level = logging.INFO if one.outcome.error is None else logging.WARNING
    extra = {
        "delivery": one.job.attempt.delivery_id,
        "channel": one.job.lane.address,
        "error": one.outcome.error,
    }
    logger.log(level, "delivery %s", one.outcome.state, extra=extra)
