"""Holding of deliveries, until they are released together as a digest.

Never held: critical notifications, and updates of an existing message, which disturb nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, String, bindparam, select, update

from bolt_app.credentials.sources import person_source
from bolt_app.db.bulk import BulkUpdate, is_any_of
from bolt_app.db.content import stored_severity
from bolt_app.db.models import IS_PENDING, Delivery, Notification
from bolt_app.db.types import UTCDateTime
from bolt_app.notifications.content.modes import CHANGES, DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.digests.preferences import NotificationPreferences, find_preferences
from bolt_app.notifications.subscriptions.routing import find_messages
from bolt_app.notifications.subscriptions.schedules import OFF, Schedule
from bolt_app.severity import Severity
from bolt_app.slack_ids import is_person

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
    .where(is_any_of(Delivery.id, "ids"), Delivery.lane_id == bindparam("lane_id"), IS_PENDING)
)
_CHANGE = BulkUpdate(
    {
        "delivery_id": BigInteger(),
        "new_seq": BigInteger(),
        "new_state": String(),
        "new_send_at": UTCDateTime(),
        "new_finished_at": UTCDateTime(),
    },
    lambda given: (
        update(Delivery.__table__)  # type: ignore[arg-type]
        .where(Delivery.id == given["delivery_id"])
        .values({name: given[f"new_{name}"] for name in ("seq", *_CHANGED)})
    ),
)


@dataclass(frozen=True)
class PlannedDelivery:
    """A delivery before it is stored.

    Attributes:
        row: its columns, with its lane by workspace and address.
        severity: of the notification.
        source: of the notification.
        digest: the digest schedule of its subscription.
    """

    row: Row = field(repr=False)
    severity: Severity | None
    source: str
    digest: Schedule | None = None

    @property
    def passes_through(self) -> bool:
        """Whether it is never held: critical, an escalation, a change, or from the recipient."""
        return (
            self.severity == Severity.CRITICAL
            or self.row["mode"] == DeliveryMode.ESCALATE
            or self.row["mode"] in CHANGES
            or self.source == person_source(self.row["lane_address"])
        )

    @property
    def may_update(self) -> bool:
        """Whether it updates a message, if one with the same key exists."""
        return self.row["key"] is not None and self.row["mode"] == DeliveryMode.UPDATE

    @property
    def lane(self) -> tuple[str, str]:
        """The workspace and address of its lane."""
        return self.row["lane_team_id"], self.row["lane_address"]


def hold(connection: Connection, planned: Sequence[PlannedDelivery], now: datetime) -> list[Row]:
    """Return the rows of deliveries; those to be held have the moment of their release.

    A direct delivery to a person who has turned these off is muted.
    """
    preferences = _preferences(connection, {delivery.lane for delivery in planned})
    changes = [_changes(delivery, preferences.get(delivery.lane), now) for delivery in planned]
    existing = existing_messages(
        connection,
        {
            (*delivery.lane, delivery.row["key"])
            for delivery, change in zip(planned, changes, strict=True)
            if change and delivery.may_update
        },
    )
    return [
        delivery.row
        if not change or (delivery.may_update and (*delivery.lane, delivery.row["key"]) in existing)
        else {**delivery.row, **change}
        for delivery, change in zip(planned, changes, strict=True)
    ]


def hold_in_lane(
    connection: Connection,
    team_id: str,
    lane_id: int,
    ids: Collection[int],
    address: str,
    seq: int,
    now: datetime,
) -> None:
    """Hold pending deliveries of an e-mail address's lane, by the preferences of its person.

    Args:
        ids: of the deliveries.
        address: that the lane resolved to.
        seq: the number of the change that this is part of.
    """
    if not is_person(address):
        return
    if not find_preferences(connection, team_id, [address]):
        return
    lane = {"lane_team_id": team_id, "lane_address": address}
    found = connection.execute(_IN_LANE, {"lane_id": lane_id, "ids": ids}).mappings().all()
    planned = [
        PlannedDelivery(
            {**row, **lane, "send_at": max(row["send_at"], now)}, row["severity"], row["source"]
        )
        for row in found
    ]
    changed = [
        {
            "delivery_id": row["id"],
            "new_seq": seq,
            "new_state": DeliveryState(row["state"]).value,
            "new_send_at": row["send_at"],
            "new_finished_at": row["finished_at"],
        }
        for delivery, row in zip(planned, hold(connection, planned, now), strict=True)
        if row is not delivery.row
    ]
    _CHANGE.execute(connection, changed)


def _changes(
    delivery: PlannedDelivery, preferences: NotificationPreferences | None, now: datetime
) -> Row:
    """Return the changes that holding makes to a row, unless it updates a message."""
    if delivery.passes_through:
        return {}
    schedule, due_at = delivery.digest, delivery.row["send_at"]
    if preferences is not None and delivery.row["subscription_id"] is None:
        if preferences.direct == OFF:
            return {"state": DeliveryState.MUTED, "finished_at": now}
        schedule = preferences.schedule
    until = due_at if schedule is None else schedule.next_after(due_at)
    if preferences is not None and preferences.quiet is not None:
        until = preferences.quiet.end_after(until, preferences.tz) or until
    return {} if until == due_at else {"state": DeliveryState.HELD, "send_at": until}


def _preferences(
    connection: Connection, lanes: Set[tuple[str, str]]
) -> dict[tuple[str, str], NotificationPreferences]:
    """Return the preferences of the people whose lanes are among these."""
    people = [lane for lane in lanes if is_person(lane[1])]
    return {
        (team_id, user_id): found
        for team_id in {team_id for team_id, _ in people}
        for user_id, found in find_preferences(
            connection, team_id, [lane[1] for lane in people if lane[0] == team_id]
        ).items()
    }


def existing_messages(
    connection: Connection, messages: Set[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Return existing messages, by workspace, address and key, among those asked for."""
    return {
        (team_id, address, key)
        for team_id in {team_id for team_id, _, _ in messages}
        for address, key in find_messages(
            connection, team_id, {(one[1], one[2]) for one in messages if one[0] == team_id}
        )
    }
