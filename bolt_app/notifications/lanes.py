"""Lanes: one queue for each channel or person, run by one worker at a time, in order.

A lane's row says when there is something to do (`wake_at`), when it may be done (`free_at`), and
who does it (`worker_id`). Whoever accepts a delivery into a lane, or gives the lane back, locks the
row first, so that nothing accepted in the same moment is overlooked. Rows are locked in the order
of workspace and address everywhere, so that two transactions never wait for one another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.db import Database
from bolt_app.db.models import (
    IS_HELD,
    IS_WAITING,
    Delivery,
    Lane,
    Notification,
    TeamPace,
    Worker,
)
from bolt_app.db.types import UTCDateTime
from bolt_app.notifications.jobs import Job, LeasedLane
from bolt_app.notifications.pacing import Pace

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# No wait that we write down ourselves is as long: it was written while the clock was wrong.
UNBELIEVABLE_WAIT = timedelta(hours=1)

_LANES = Lane.__table__
_FIRST_OF_EACH = union_all(
    *(
        select(func.min(Delivery.send_at).label("send_at"))
        .where(Delivery.lane_id == Lane.id, state)
        .correlate(Lane)
        for state in (IS_WAITING, IS_HELD)
    )
).subquery()
_WHEN_NEXT_IS_DUE = select(func.min(_FIRST_OF_EACH.c.send_at)).scalar_subquery()
_AT_ONCE = exists().where(
    Notification.id == Delivery.notification_id, Notification.created_at >= Delivery.send_at
)
_FREED: dict[str, Any] = {
    "worker_id": None,
    "free_at": bindparam("freed_free_at"),
    "paced_until": bindparam("freed_paced_until"),
    "failing_since": bindparam("freed_failing_since"),
}
_FREE = (
    update(_LANES)  # type: ignore[arg-type]
    .where(Lane.id == bindparam("lane_id"))
    .values({**_FREED, "sending_id": None, "wake_at": _WHEN_NEXT_IS_DUE})
)
# What was begun comes first, whatever waits.
_FREE_IN_THE_MIDDLE = (
    update(_LANES)  # type: ignore[arg-type]
    .where(Lane.id == bindparam("lane_id"))
    .values({**_FREED, "wake_at": bindparam("freed_wake_at")})
)
_DUE = (
    select(
        Lane.id,
        Lane.team_id,
        Lane.address,
        Lane.paced_until,
        Lane.failing_since,
    )
    .join(TeamPace, TeamPace.team_id == Lane.team_id)
    .where(
        Lane.worker_id.is_(None),
        Lane.wake_at <= bindparam("now"),
        Lane.free_at <= bindparam("now"),
        TeamPace.free_at <= bindparam("now"),
        TeamPace.team_id.not_in(bindparam("full_teams", expanding=True)),
    )
    # Whoever waited longest: among workspaces, then among the lanes of one.
    .order_by(TeamPace.served_at, TeamPace.team_id, Lane.free_at, Lane.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=Lane)
)


_PACES = (
    select(TeamPace.team_id, TeamPace.paced_until)
    .where(TeamPace.team_id.in_(bindparam("team_ids", expanding=True)))
    .order_by(TeamPace.team_id)
    .with_for_update()
)
_SPEND = (
    update(TeamPace.__table__)  # type: ignore[arg-type]
    .where(TeamPace.team_id == bindparam("key"))
    .values(
        paced_until=bindparam("until"),
        served_at=bindparam("now"),
        free_at=case(
            (TeamPace.free_at > bindparam("opens"), TeamPace.free_at), else_=bindparam("opens")
        ),
    )
)
_TAKE = (
    update(Lane.__table__)  # type: ignore[arg-type]
    .where(Lane.id.in_(bindparam("lane_ids", expanding=True)))
    .values(worker_id=bindparam("taker"))
)
_HELD = (
    select(Lane.id, Lane.worker_id, Lane.sending_id)
    .where(Lane.id.in_(bindparam("lane_ids", expanding=True)))
    .order_by(Lane.team_id, Lane.address)
    .with_for_update()
)


@dataclass(frozen=True)
class FreedLane:
    """How a lane is given back.

    Attributes:
        is_sending: whether its delivery is still `sending`, because nobody knows as yet.
    """

    lane: LeasedLane
    free_at: datetime
    paced_until: datetime
    failing_since: datetime | None
    is_sending: bool = False


def know_team(connection: Connection, team_id: str) -> None:
    """Make sure that a workspace has a pace."""
    fresh = {"free_at": LONG_AGO, "paced_until": LONG_AGO, "served_at": LONG_AGO}
    connection.execute(_KNOW_TEAM[connection.dialect.name], {"team_id": team_id, **fresh})


def open_lanes(connection: Connection, wake_at: Mapping[tuple[str, str], datetime]) -> None:
    """Make sure that there is a lane for each workspace and address, and that it wakes in time.

    The rows stay locked until the transaction ends: deliveries inserted after this have ids in the
    order in which their transactions commit.
    """
    rows = [
        {"team_id": team_id, "address": address, "wake_at": wake_at[team_id, address]}
        for team_id, address in sorted(wake_at)
    ]
    if rows:
        connection.execute(_OPEN[connection.dialect.name], rows)


def _open_statement(dialect: Any) -> Any:
    statement = dialect.insert(Lane.__table__).values(free_at=LONG_AGO, paced_until=LONG_AGO)
    later = or_(Lane.wake_at.is_(None), Lane.wake_at > statement.excluded.wake_at)
    return statement.on_conflict_do_update(
        index_elements=["team_id", "address"],
        set_={"wake_at": case((later, statement.excluded.wake_at), else_=Lane.wake_at)},
    )


# Run for every notification, and so put together once.
_DIALECTS: tuple[Any, ...] = (sqlite, postgresql)
_OPEN = {dialect.dialect.name: _open_statement(dialect) for dialect in _DIALECTS}
_KNOW_TEAM = {
    dialect.dialect.name: dialect.insert(TeamPace.__table__).on_conflict_do_nothing()
    for dialect in _DIALECTS
}


def pending_in(lane_id: Any) -> ColumnElement[bool]:
    """Return the condition for what waits or is held in a lane, of which indexes know all."""
    waiting, held = (
        select(Delivery.id).where(Delivery.lane_id == lane_id, state)
        for state in (IS_WAITING, IS_HELD)
    )
    return Delivery.id.in_(union_all(waiting, held))


def move_pending(connection: Connection, team_id: str, old: str, new: str, now: datetime) -> None:
    """Move what waits or is held for an address to another, which stands for the same by now."""
    lane = select(Lane.id).where(Lane.team_id == team_id)
    old_id = connection.scalar(lane.where(Lane.address == old))
    if old_id is None:
        return
    # Both lanes look anew for what is due next.
    open_lanes(connection, {(team_id, old): now, (team_id, new): now})
    there = lane.where(Lane.address == new).scalar_subquery()
    connection.execute(update(Delivery).where(pending_in(old_id)).values(lane_id=there))


def lock_held(connection: Connection, jobs: Sequence[Job]) -> list[bool]:
    """Lock the rows of jobs' lanes until the transaction ends; return which are still as leased.

    One that was given back and leased again, in a commit whose answer was lost, is sending another
    delivery by now. Two jobs may be of one lane: a worker that lost the lane may have leased it
    again before it writes what came of the first.

    Returns: one value for each job, in the order of `jobs`.
    """
    ids = {"lane_ids": list({job.lane.id for job in jobs})}
    row_of = {row.id: row for row in connection.execute(_HELD, ids)}
    return [job.lane.id in row_of and _is_as_leased(job, row_of[job.lane.id]) for job in jobs]


def _is_as_leased(job: Job, row: Any) -> bool:
    if row.worker_id != job.lane.worker_id:
        return False
    return job.attempt is None or row.sending_id == job.attempt.delivery_id


def give_back(connection: Connection, worker_id: str, keep: Collection[int], now: datetime) -> int:
    """Free the lanes a worker does not know of having leased; return how many there were."""
    mine = Lane.worker_id == worker_id
    lock = select(Lane.id).where(mine).order_by(Lane.team_id, Lane.address).with_for_update()
    unknown = [id_ for id_ in connection.scalars(lock) if id_ not in keep]
    freed = {"worker_id": None, "wake_at": now}
    connection.execute(update(Lane).where(Lane.id.in_(unknown)).values(**freed))
    return len(unknown)


def free_lanes(connection: Connection, freed: Sequence[FreedLane], now: datetime) -> None:
    """Give lanes back that `lock_held` has locked."""
    rows = [
        {
            "lane_id": one.lane.id,
            "freed_free_at": one.free_at,
            "freed_paced_until": one.paced_until,
            "freed_failing_since": one.failing_since,
        }
        for one in freed
    ]
    ready = [row for row, one in zip(rows, freed, strict=True) if not one.is_sending]
    begun = [
        row | {"freed_wake_at": now} for row, one in zip(rows, freed, strict=True) if one.is_sending
    ]
    if ready:
        connection.execute(_FREE, ready)
    if begun:
        connection.execute(_FREE_IN_THE_MIDDLE, begun)


def lease_lanes(
    connection: Connection,
    worker_id: str,
    room: Mapping[str, int],
    *,
    most: int,
    at_most_each: int,
    pace: Pace,
    now: datetime,
) -> list[LeasedLane]:
    """Give up to `most` lanes that are due to a worker, none to two workers.

    Args:
        room: how many lanes more the worker may run of workspaces of which it runs some already.
        at_most_each: how many it may run of any one workspace.
    """
    full = [team_id for team_id, left in room.items() if left <= 0]
    rows = connection.execute(_DUE, {"now": now, "full_teams": full or [""], "most": most}).all()
    if not rows:
        return []
    taken = _within_pace(connection, rows, room, at_most_each, pace, now)
    if not taken:
        return []
    connection.execute(_TAKE, {"lane_ids": [row.id for row in taken], "taker": worker_id})
    return [
        LeasedLane(row.id, row.team_id, row.address, worker_id, row.paced_until, row.failing_since)
        for row in taken
    ]


def _within_pace(
    connection: Connection,
    rows: Sequence[Any],
    room: Mapping[str, int],
    at_most_each: int,
    pace: Pace,
    now: datetime,
) -> list[Any]:
    """Return the lanes that their workspaces' pace and room allow, and count them."""
    taken = []
    teams = {"team_ids": list({row.team_id for row in rows})}
    for team_id, paced_until in connection.execute(_PACES, teams).all():
        most = min(room.get(team_id, at_most_each), pace.team_room(paced_until, now))
        mine = [row for row in rows if row.team_id == team_id][:most]
        until, opens = pace.team_after(paced_until, now, len(mine))
        spent = {"key": team_id, "until": until, "now": now, "opens": max(opens, now)}
        connection.execute(_SPEND, spent)
        taken += mine
    return taken


def _first_due(latest: Any) -> Any:
    due = latest(Lane.wake_at, Lane.free_at, TeamPace.free_at, type_=UTCDateTime)
    return (
        select(func.min(due))
        .join(TeamPace, TeamPace.team_id == Lane.team_id)
        .where(Lane.worker_id.is_(None), Lane.wake_at.is_not(None))
    )


_FIRST_DUE = {"sqlite": _first_due(func.max), "postgresql": _first_due(func.greatest)}


def seconds_until_due(connection: Connection, now: datetime) -> float | None:
    """Return how long nothing is due, as far as is known; None where nothing waits."""
    due_at: datetime | None = connection.scalar(_FIRST_DUE[connection.dialect.name])
    return None if due_at is None else max(0.0, (due_at - now).total_seconds())


def pause_team(
    connection: Connection, team_id: str, until: datetime, reason: str | None = None
) -> None:
    """Leave a whole workspace alone for a while: Slack said so, or nobody can post there.

    Args:
        reason: Slack's code, where the installation is dead.
    """
    connection.execute(
        update(TeamPace)
        .where(TeamPace.team_id == team_id)
        .values(
            free_at=case((TeamPace.free_at > until, TeamPace.free_at), else_=until),
            reason=func.coalesce(reason, TeamPace.reason),
        )
    )


class LaneKeeper:
    """Looks after lanes that nobody else would: of dead workers, and after the clock went wrong."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def resume_teams(self, now: datetime) -> None:
        """Let workspaces go on whose installation was dead: something was installed.

        One that is dead still is found out again with its next message.
        """
        paused = TeamPace.reason.is_not(None)
        with self._database.writing_connection() as connection:
            lock = select(TeamPace.team_id).where(paused).order_by(TeamPace.team_id)
            connection.execute(lock.with_for_update()).all()
            connection.execute(update(TeamPace).where(paused).values(free_at=now, reason=None))

    def take_back(self, worker_ids: Collection[str], now: datetime) -> int:
        """Free the lanes of workers that are gone; return how many there were."""
        held = Lane.worker_id.in_(worker_ids)
        with self._database.writing_connection() as connection:
            lock = select(Lane.id).where(held).order_by(Lane.team_id, Lane.address)
            ids = connection.scalars(lock.with_for_update()).all()
            connection.execute(
                update(Lane).where(Lane.id.in_(ids), held).values(worker_id=None, wake_at=now)
            )
            connection.execute(delete(Worker).where(Worker.id.in_(worker_ids)))
        return len(ids)

    def forget_waits(self, now: datetime, *, longer_than: timedelta = timedelta(0)) -> None:
        """Look at every lane anew whose wait is longer than so: the clock it relied on was wrong.

        What is looked at too early simply waits again. A message that was to go out at once, by
        that clock, goes out at once; what was held by it is released.
        """
        limit = now + longer_than
        late_team = or_(TeamPace.free_at > limit, TeamPace.paced_until > limit)
        late_lane = or_(Lane.free_at > limit, Lane.paced_until > limit)
        fresh = {"free_at": LONG_AGO, "paced_until": LONG_AGO}
        from_later = exists().where(
            Notification.id == Delivery.notification_id, Notification.created_at > limit
        )
        wake_at = case((Lane.sending_id.is_not(None), now), else_=_WHEN_NEXT_IS_DUE)
        with self._database.writing_connection() as connection:
            any_late = or_(late_lane, Lane.wake_at > limit)
            lock = select(Lane.id).where(any_late).order_by(Lane.team_id, Lane.address)
            ids = connection.scalars(lock.with_for_update()).all()
            connection.execute(
                update(Delivery)
                .where(
                    Delivery.lane_id.in_(ids),
                    Delivery.send_at > limit,
                    or_(and_(IS_WAITING, _AT_ONCE), and_(IS_HELD, from_later)),
                )
                .values(send_at=now)
            )
            connection.execute(update(Lane).where(late_lane).values(**fresh))
            connection.execute(update(Lane).where(Lane.wake_at > limit).values(wake_at=wake_at))
            lock_teams = select(TeamPace.team_id).where(late_team).order_by(TeamPace.team_id)
            connection.execute(lock_teams.with_for_update()).all()
            connection.execute(update(TeamPace).where(late_team).values(**fresh))
