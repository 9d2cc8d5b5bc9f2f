"""What is not to go out at once: it is held until a moment at which several go out as one.

Never held is what is critical, and what only changes a message that stands there, which disturbs
nobody and keeps it true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bolt_app.notifications.routing import find_messages
from bolt_app.notifications.schedules import Schedule

PASSES_THROUGH = "critical"


@dataclass(frozen=True)
class Coming:
    """A delivery that is about to be accepted.

    Attributes:
        row: its columns, with its lane by workspace and address.
        severity: of what it says.
        digest: the schedule of the subscription by which it comes, where that may hold it.
    """

    row: Mapping[str, Any]
    severity: str | None = None
    digest: Schedule | None = None


def hold(connection: Connection, coming: Sequence[Coming]) -> list[Mapping[str, Any]]:
    """Return the rows of deliveries, those that are to be held with the moment of their release."""
    until = [_held_until(one) for one in coming]
    held = [one for one, at in zip(coming, until, strict=True) if at is not None]
    standing = _standing(connection, {_place(one) for one in held if _may_change(one)})
    return [
        one.row
        if at is None or (_may_change(one) and _place(one) in standing)
        else {**one.row, "state": "held", "send_at": at}
        for one, at in zip(coming, until, strict=True)
    ]


def _held_until(one: Coming) -> datetime | None:
    if one.digest is None or one.severity == PASSES_THROUGH:
        return None
    return one.digest.next_after(one.row["send_at"])


def _may_change(one: Coming) -> bool:
    return one.row["key"] is not None and one.row["mode"] == "update"


def _place(one: Coming) -> tuple[str, str, str]:
    return one.row["lane_team_id"], one.row["lane_address"], one.row["key"]


def _standing(
    connection: Connection, places: Set[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Return those of the workspaces, addresses and keys of which a message stands."""
    return {
        (team_id, address, key)
        for team_id in {team_id for team_id, _, _ in places}
        for address, key in find_messages(
            connection, team_id, {(place[1], place[2]) for place in places if place[0] == team_id}
        )
    }
