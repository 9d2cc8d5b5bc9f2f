"""Lanes: one queue for each channel or person.

The functions that write are called after `begin_change`, because the workspace's owner has lanes in
memory.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import IS_LATER, IS_WAITING, Delivery, Lane

_ENSURE: dict[str, Any] = {
    dialect.dialect.name: dialect.insert(Lane.__table__).on_conflict_do_nothing()
    for dialect in (sqlite, postgresql)
}


def ensure_lanes(connection: Connection, lanes: Collection[tuple[str, str]]) -> None:
    """Create the missing lanes, each given by workspace and address."""
    rows = [{"team_id": team_id, "address": address} for team_id, address in sorted(lanes)]
    if rows:
        connection.execute(_ENSURE[connection.dialect.name], rows)


def lane_id_of(team_id: Any, address: Any) -> Any:
    """Return the scalar subquery for the id of a lane."""
    lane = select(Lane.id).where(Lane.team_id == team_id, Lane.address == address)
    return lane.scalar_subquery()


def pending_in(lane_id: Any) -> ColumnElement[bool]:
    """Return the condition for a lane's deliveries that wait, are scheduled or held; indexed."""
    return _pending(Delivery.lane_id == lane_id)


def pending_in_any(lane_ids: Collection[int]) -> ColumnElement[bool]:
    """Return the condition for such deliveries of many lanes."""
    return _pending(is_any_of(Delivery.lane_id, values=lane_ids))


def _pending(is_in_lane: ColumnElement[bool]) -> ColumnElement[bool]:
    waiting, later = (
        select(Delivery.id).where(is_in_lane, state) for state in (IS_WAITING, IS_LATER)
    )
    return Delivery.id.in_(union_all(waiting, later))


def mark_successor(connection: Connection, lane_id: int, team_id: str, address: str) -> None:
    """Mark the lane of `address` for erasure if the lane that resolved to it is marked."""
    is_erasable = select(Lane.is_erasable).where(Lane.id == lane_id).scalar_subquery()
    if connection.scalar(select(is_erasable)):
        connection.execute(
            update(Lane).where(Lane.id == lane_id_of(team_id, address)).values(is_erasable=True)
        )
