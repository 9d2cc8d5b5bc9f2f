"""Plans: the rows of submitted notifications and of their deliveries, before they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bolt_app.blockkit.broadcasts import without_broadcasts
from bolt_app.credentials.sources import stored_key
from bolt_app.credentials.webhook_bodies import SealedBody
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.content.meaning import severity_of, with_meaning
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.schema import Escalation, NotificationRequest
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.digests.hold import PlannedDelivery, Row, existing_messages
from bolt_app.notifications.incidents.service import IncidentEffects, IncidentSignal
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.change_feed import state_until
from bolt_app.notifications.queue.provisional_ts import issue
from bolt_app.notifications.queue.rank import MESSAGE_RANK, rank_of
from bolt_app.notifications.subscriptions.routing import (
    Destination,
    RoutingRequest,
    are_active,
    route,
)
from bolt_app.recipients import known_recipient, topic_of
from bolt_app.slack_ids import is_destination

# The most deliveries of several notifications in one transaction, which others wait for: about a
# tenth of a millisecond each on PostgreSQL.
MOST_DELIVERIES = 2000


@dataclass(frozen=True)
class Draft:
    """A notification to be stored.

    Attributes:
        row: its columns.
        delivery: the columns that its deliveries have in common.
        is_message: whether it is one message of the Slack-compatible Web API, which gets a
            provisional `ts`.
    """

    id: str
    team_id: str
    to: Sequence[str] = field(repr=False)
    row: Row = field(repr=False)
    delivery: Row = field(repr=False)
    escalation: Escalation | None = None
    is_message: bool = False
    file_ids: Sequence[str] = ()

    @classmethod
    def of(cls, sender: Sender, request: NotificationRequest, now: datetime) -> Draft:
        """Return the draft of a request."""
        id_ = new_id(now)
        # A notification with actions has an incident, if only of itself.
        key = id_ if request.actions else None
        if request.key is not None:
            key = stored_key(request.source or sender.source or sender.name, request.key)
        content = with_meaning(request.content())
        row = {
            "id": id_,
            "team_id": sender.team_id,
            "source": sender.name,
            "content": content if sender.allow_broadcast else without_broadcasts(content),
            "key": key,
            "topics": " ".join(filter(None, map(topic_of, request.to))) or None,
            "created_at": now,
        }
        delivery = {
            "notification_id": id_,
            "lane_team_id": sender.team_id,
            "state": state_until(request.due_at(now), now),
            "source": request.source or sender.turn,
            "rank": rank_of(request.priority, severity_of(content)),
            "key": key,
            "mode": request.mode if key is not None else DeliveryMode.NEW,
            "on_unknown": request.on_unknown,
            "send_at": request.due_at(now),
            "expires_at": request.expires_at,
            "attempts": 0,
        }
        return cls(
            id_,
            sender.team_id,
            request.to,
            row,
            delivery,
            request.escalate,
            file_ids=request.file_ids,
        )

    @classmethod
    def of_message(cls, sender: Sender, request: NotificationRequest, now: datetime) -> Draft:
        """Return the draft of a request that is one message of the Slack-compatible Web API.

        Its key is its own id, which later changes of the message share. All messages of a source
        have the same rank, so that a channel gets them in the order of the calls.
        """
        draft = cls.of(sender, request, now)
        own = {"key": draft.id}
        return replace(
            draft,
            row={**draft.row, **own},
            delivery={**draft.delivery, **own, "rank": MESSAGE_RANK},
            is_message=True,
        )

    @property
    def incident_signal(self) -> IncidentSignal | None:
        """The signal to the incident of its key, if it has one."""
        key = self.row["key"]
        if key is None or self.is_message:
            return None
        return IncidentSignal(self.team_id, key, "actions" in self.row["content"])

    def routed_to(self, recipients: Sequence[str]) -> RoutingRequest:
        """Return the request to route it to recipients."""
        return RoutingRequest(recipients, self.row["content"], self.row["key"])


@dataclass(frozen=True)
class Submission:
    """Notifications that one sender submits together.

    Attributes:
        body: the body of the webhook that they were read from, to be recorded.
    """

    sender: Sender
    drafts: Sequence[Draft]
    body: SealedBody | None = field(default=None, repr=False)


def plan_deliveries(
    connection: Connection, drafts: Sequence[Draft], now: datetime
) -> list[PlannedDelivery]:
    """Return the deliveries of drafts of one workspace: the immediate ones, then escalations.

    Raises:
        TooManyDeliveriesError: several drafts have more than `MOST_DELIVERIES` together.
    """
    escalations = [(draft, draft.escalation) for draft in drafts if draft.escalation is not None]
    requests = [draft.routed_to(draft.to) for draft in drafts]
    requests += [draft.routed_to(escalation.to or draft.to) for draft, escalation in escalations]
    # A single notification has as many as the workspace has subscriptions.
    most = None if len(drafts) == 1 else MOST_DELIVERIES
    routes = route(connection, drafts[0].team_id, requests, now, most=most)
    planned = [
        _planned(draft, destination)
        for draft, destinations in zip(drafts, routes[: len(drafts)], strict=True)
        for destination in destinations
    ]
    planned += [
        _planned_escalation(draft, destination, escalation)
        for (draft, escalation), destinations in zip(
            escalations, routes[len(drafts) :], strict=True
        )
        for destination in destinations
    ]
    return planned


def is_current(connection: Connection, planned: Sequence[PlannedDelivery], now: datetime) -> bool:
    """Whether no subscription of planned deliveries, all of one workspace, has ended since."""
    ids = {delivery.row["subscription_id"] for delivery in planned} - {None}
    return not ids or are_active(connection, planned[0].row["lane_team_id"], ids, now)


def without_repeated(rows: Sequence[Row]) -> list[Row]:
    """Return rows without those of subscriptions whose address the sender also named.

    The named one shows the sender nothing about the subscription, because it is the same without
    it. A person who turned direct notifications off gets the subscribed one.
    """
    named = {
        _place(row)
        for row in rows
        if row["subscription_id"] is None and row["state"] != DeliveryState.MUTED
    }
    return [row for row in rows if row["subscription_id"] is None or _place(row) not in named]


def apply_effects(
    connection: Connection, rows: Sequence[Row], effects: IncidentEffects, now: datetime
) -> list[Row]:
    """Return the rows to insert, given the effects of their notifications on incidents.

    An incident that was open before is not escalated again; new messages about a snoozed or muted
    one are muted.
    """
    first = {_incident(row): row["notification_id"] for row in reversed(rows) if _escalates(row)}
    kept = [
        row
        for row in rows
        if not _escalates(row)
        or (_incident(row) in effects.opened and first[_incident(row)] == row["notification_id"])
    ]
    updates = {_message(row) for row in kept if _updates(row) and _incident(row) in effects.quiet}
    existing = existing_messages(connection, updates)
    return [
        {**row, "state": DeliveryState.MUTED, "finished_at": now}
        if _incident(row) in effects.quiet and not _disturbs_nobody(row, existing)
        else row
        for row in kept
    ]


def provisional_names(
    connection: Connection, drafts: Sequence[Draft], now: datetime
) -> Mapping[str, str]:
    """Return new provisional `ts` of the drafts that are messages, by notification.

    Args:
        drafts: of one workspace, whose queue is locked.
    """
    ids = [draft.id for draft in drafts if draft.is_message]
    if not ids:
        return {}
    return dict(zip(ids, issue(connection, drafts[0].team_id, now, len(ids)), strict=True))


def _planned(draft: Draft, destination: Destination) -> PlannedDelivery:
    row = _destination_row(draft, destination)
    if destination.mode is not None and row["key"] is not None:
        row["mode"] = destination.mode
    return _planned_row(draft, destination, row)


def _planned_escalation(
    draft: Draft, destination: Destination, escalation: Escalation
) -> PlannedDelivery:
    send_at = draft.delivery["send_at"] + timedelta(seconds=escalation.after)
    state = state_until(send_at, draft.row["created_at"])
    later = {"mode": DeliveryMode.ESCALATE, "send_at": send_at, "state": state}
    return _planned_row(draft, destination, _destination_row(draft, destination) | later)


def _destination_row(draft: Draft, destination: Destination) -> dict[str, Any]:
    return {
        **draft.delivery,
        "lane_address": destination.address,
        "target": destination.target,
        "recipient_id": known_recipient(destination.target, destination.address),
        "subscription_id": destination.subscription_id,
        "finished_at": None,
    }


def _planned_row(draft: Draft, destination: Destination, row: Mapping[str, Any]) -> PlannedDelivery:
    severity = severity_of(draft.row["content"])
    return PlannedDelivery(row, severity, draft.row["source"], destination.digest)


def _escalates(row: Row) -> bool:
    return bool(row["mode"] == DeliveryMode.ESCALATE)


def _updates(row: Row) -> bool:
    return bool(row["mode"] == DeliveryMode.UPDATE)


def _disturbs_nobody(row: Row, existing: Set[tuple[str, str, str]]) -> bool:
    """Whether a row updates an existing message, or may: its name may lead to one."""
    return _updates(row) and (_message(row) in existing or not is_destination(row["lane_address"]))


def _place(row: Row) -> tuple[str, str, bool]:
    return row["notification_id"], row["lane_address"], _escalates(row)


def _incident(row: Row) -> tuple[str, str]:
    return row["lane_team_id"], row["key"]


def _message(row: Row) -> tuple[str, str, str]:
    return row["lane_team_id"], row["lane_address"], row["key"]
