"""The change feed of a workspace's deliveries.

Every transaction that inserts, moves, retries, cancels, mutes or reschedules deliveries, or answers
an incident, first calls `begin_change`, and stamps the rows that it changes with the number it
returns. The workspace's owner reads the changes after the last number that it knows. The
workspace's row stays locked until the transaction ends, so ids and numbers grow in the order of
commits, and no transaction sees half of another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Subscription, WorkspaceQueue
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.queue.rank import eligible_at, urgency_of
from bolt_app.notifications.queue.shards import shard_of


def _next_number(dialect: Any) -> Any:
    statement = dialect.insert(WorkspaceQueue.__table__).values(
        team_id=bindparam("team_id"), shard=bindparam("shard"), seq=1
    )
    return statement.on_conflict_do_update(
        index_elements=["team_id"], set_={"seq": WorkspaceQueue.seq + 1}
    ).returning(WorkspaceQueue.seq)


def _intake(dialect: Any) -> Any:
    statement = dialect.insert(WorkspaceQueue.__table__).values(
        team_id=bindparam("team_id"),
        shard=bindparam("shard"),
        seq=1,
        accepted_at=bindparam("accepted_at"),
    )
    is_later = WorkspaceQueue.accepted_at > statement.excluded.accepted_at
    latest = case((is_later, WorkspaceQueue.accepted_at), else_=statement.excluded.accepted_at)
    return statement.on_conflict_do_update(
        index_elements=["team_id"], set_={"seq": WorkspaceQueue.seq + 1, "accepted_at": latest}
    ).returning(WorkspaceQueue.seq, WorkspaceQueue.accepted_at)


_ACCEPTANCE = {dialect.dialect.name: _intake(dialect) for dialect in (sqlite, postgresql)}
_NEXT_NUMBER = {dialect.dialect.name: _next_number(dialect) for dialect in (sqlite, postgresql)}


def lock_subscriptions(
    connection: Session | Connection, team_id: str, which: ColumnElement[bool]
) -> None:
    """Lock subscriptions of a workspace, before its queue (`credentials.limits` has the order)."""
    found = select(Subscription.id).where(Subscription.team_id == team_id, which)
    in_order = found.order_by(Subscription.address, Subscription.topic)
    connection.execute(in_order.with_for_update())


def begin_change(connection: Connection, team_ids: Collection[str]) -> Mapping[str, int]:
    """Lock the queues of workspaces until the transaction ends.

    They are locked in the order of their ids, so that no two transactions deadlock.

    Returns: the number of the change, by workspace.
    """
    statement = _NEXT_NUMBER[connection.dialect.name]
    return {
        team_id: connection.execute(
            statement, {"team_id": team_id, "shard": shard_of(team_id)}
        ).scalar_one()
        for team_id in sorted(team_ids)
    }


def begin_acceptance(connection: Connection, team_id: str, now: datetime) -> tuple[int, datetime]:
    """Lock the queue of a workspace that accepts notifications.

    Returns: the number of the change, and the time, which is never before the last acceptance.
    """
    values = {"team_id": team_id, "shard": shard_of(team_id), "accepted_at": now}
    row = connection.execute(_ACCEPTANCE[connection.dialect.name], values).one()
    return row.seq, row.accepted_at


def resume_workspaces(connection: Connection) -> None:
    """End the pauses of workspaces with a dead installation, after an installation.

    A workspace whose installation is still dead is paused again by its next message.
    """
    paused = WorkspaceQueue.pause_reason.is_not(None)
    team_ids = connection.scalars(select(WorkspaceQueue.team_id).where(paused)).all()
    begin_change(connection, team_ids)
    again = update(WorkspaceQueue).where(is_any_of(WorkspaceQueue.team_id, values=team_ids))
    connection.execute(again.values(paused_until=None, pause_reason=None))


def stored_urgency(rank: int, at: datetime) -> int:
    """Return the urgency, as it is stored, of a delivery that is due at a moment."""
    return round(urgency_of(rank, at.timestamp()) * 1000)


def due_at(rank: int, urgency: int) -> datetime:
    """Return when a delivery with a stored urgency is due, to the millisecond."""
    return datetime.fromtimestamp(eligible_at(rank, urgency / 1000), UTC)


def state_until(send_at: datetime, now: datetime) -> DeliveryState:
    """Return the state of a delivery that is due at `send_at`."""
    return DeliveryState.WAITING if send_at <= now else DeliveryState.SCHEDULED
