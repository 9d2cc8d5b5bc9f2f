"""What is not to go out at once: it is held until a moment at which several go out as one.

Never held is what is critical, and what only changes a message that stands there, which disturbs
nobody and keeps it true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bolt_app.db.content import stored_severity
from bolt_app.db.models import Delivery, Notification
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.digests.preferences import NotificationPreferences, find_preferences
from bolt_app.notifications.queue.lanes import pending_in
from bolt_app.notifications.subscriptions.routing import find_messages
from bolt_app.notifications.subscriptions.schedules import OFF, Schedule
from bolt_app.slack_ids import is_person

CRITICAL = "critical"
# A delivery's columns, with its lane by workspace and address.
Row = Mapping[str, Any]
_CHANGED = ("state", "send_at", "finished_at")
_IN_LANE = (
    select(
        Delivery.id,
        Delivery.state,
        Delivery.send_at,
        Delivery.finished_at,
        Delivery.key,
        Delivery.mode,
        Delivery.subscription_id,
        Notification.source,
        stored_severity(Notification.content).label("severity"),
    )
    .join(Notification, Notification.id == Delivery.notification_id)
    .where(pending_in(bindparam("lane_id")))
)
_CHANGE = (
    update(Delivery.__table__)  # type: ignore[arg-type]
    .where(Delivery.id == bindparam("delivery_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGED} | {"seq": bindparam("new_seq")})
)


@dataclass(frozen=True)
class PlannedDelivery:
    """A delivery that is about to be accepted.

    Attributes:
        row: its columns, with its lane by workspace and address.
        severity: of what it says.
        digest: the schedule of the subscription by which it comes.
        source: which way in it took.
    """

    row: Row
    severity: str | None
    source: str
    digest: Schedule | None = None

    @property
    def passes_through(self) -> bool:
        """Whether it goes out when it is due, whatever anybody chose.

        So does what tells others that nobody answers, and what people send to themselves.
        """
        return (
            self.severity == CRITICAL
            or self.row["mode"] == DeliveryMode.ESCALATE
            or self.source == f"slack:{self.row['lane_address']}"
        )

    @property
    def may_change(self) -> bool:
        """Whether it only changes a message, where one stands about the same key."""
        return self.row["key"] is not None and self.row["mode"] == DeliveryMode.UPDATE

    @property
    def lane(self) -> tuple[str, str]:
        """The workspace and address of its lane."""
        return self.row["lane_team_id"], self.row["lane_address"]


def hold(connection: Connection, coming: Sequence[PlannedDelivery], now: datetime) -> list[Row]:
    """Return the rows of deliveries, those that are to be held with the moment of their release.

    What somebody does not want by name is muted.
    """
    preferred = _preferred(connection, {one.lane for one in coming})
    changes = [_changes(one, preferred.get(one.lane), now) for one in coming]
    standing = _standing(
        connection,
        {
            (*one.lane, one.row["key"])
            for one, change in zip(coming, changes, strict=True)
            if change and one.may_change
        },
    )
    return [
        one.row
        if not change or (one.may_change and (*one.lane, one.row["key"]) in standing)
        else {**one.row, **change}
        for one, change in zip(coming, changes, strict=True)
    ]


def hold_in_lane(
    connection: Connection, team_id: str, lane_id: int, address: str, seq: int, now: datetime
) -> None:
    """Hold what waits in the lane of an e-mail address, as the person wants it whose it is.

    Args:
        address: where the lane leads.
        seq: the number of the change that this is part of.
    """
    if not is_person(address):
        return
    if not find_preferences(connection, team_id, [address]):
        return
    ids = {"lane_team_id": team_id, "lane_address": address}
    found = connection.execute(_IN_LANE, {"lane_id": lane_id}).mappings().all()
    coming = [
        PlannedDelivery(
            {**row, **ids, "send_at": max(row["send_at"], now)}, row["severity"], row["source"]
        )
        for row in found
    ]
    changed = [
        {
            "delivery_id": row["id"],
            "new_seq": seq,
            **{f"new_{name}": row[name] for name in _CHANGED},
        }
        for one, row in zip(coming, hold(connection, coming, now), strict=True)
        if row is not one.row
    ]
    if changed:
        connection.execute(_CHANGE, changed)


def _changes(one: PlannedDelivery, preferred: NotificationPreferences | None, now: datetime) -> Row:
    """Return what holding makes of a row, if it is not one that changes a message."""
    if one.passes_through:
        return {}
    schedule, due_at = one.digest, one.row["send_at"]
    if preferred is not None and one.row["subscription_id"] is None:
        if preferred.direct == OFF:
            return {"state": DeliveryState.MUTED, "finished_at": now}
        schedule = preferred.schedule
    until = due_at if schedule is None else schedule.next_after(due_at)
    if preferred is not None and preferred.quiet is not None:
        until = preferred.quiet.end_after(until, preferred.tz) or until
    return {} if until == due_at else {"state": DeliveryState.HELD, "send_at": until}


def _preferred(
    connection: Connection, lanes: Set[tuple[str, str]]
) -> dict[tuple[str, str], NotificationPreferences]:
    """Return what the people chose whose lanes are among these."""
    people = [lane for lane in lanes if is_person(lane[1])]
    return {
        (team_id, user_id): found
        for team_id in {team_id for team_id, _ in people}
        for user_id, found in find_preferences(
            connection, team_id, [lane[1] for lane in people if lane[0] == team_id]
        ).items()
    }


def _standing(
    connection: Connection, messages: Set[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Return those of the workspaces, addresses and keys of which a message stands."""
    return {
        (team_id, address, key)
        for team_id in {team_id for team_id, _, _ in messages}
        for address, key in find_messages(
            connection, team_id, {(one[1], one[2]) for one in messages if one[0] == team_id}
        )
    }
