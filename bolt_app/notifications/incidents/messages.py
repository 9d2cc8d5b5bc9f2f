"""The messages about an incident, and the follow-up deliveries that update or escalate them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from bolt_app.db.bulk import BulkUpdate, is_any_of
from bolt_app.db.models import IS_PENDING, IS_QUEUED, Delivery, Incident, Lane, Notification
from bolt_app.notifications.content.modes import DeliveryMode, OnUnknown
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.queue.cancellation import MAY_GO_OUT, cancelled
from bolt_app.notifications.queue.change_feed import due_at, state_until, stored_urgency
from bolt_app.slack_ids import DELETED_PERSON

# Statements name `IS_PENDING` beside `IS_QUEUED`, because it is the condition of an index.

# A refresh goes ahead of the deliveries that wait in its channel. A channel takes one message a
# second, so refreshes of one message are limited, to leave room for others.
REFRESH_RANK = -10
REFRESH_INTERVAL = timedelta(seconds=3)
# Refreshes after a sender's resolution rank like notifications.
RESOLUTION_RANK = 0
# With so many refreshes waiting in a channel, further ones rank like notifications too, so that
# people who answer many incidents do not delay new messages.
MOST_AHEAD = 3
# The states of refreshes that have ended without having been cancelled.
_REFRESHED = (DeliveryState.SENT, DeliveryState.UNKNOWN, DeliveryState.DEAD)
# The states of follow-ups that an answer cancels. A key may have any number of others.
_UNSENT = (
    DeliveryState.WAITING,
    DeliveryState.SCHEDULED,
    DeliveryState.SENDING,
    DeliveryState.UNKNOWN,
    DeliveryState.DEAD,
)
# A refresh due later than this belongs to the end of a snooze.
_SOON = timedelta(minutes=1)

_SHOWN_NOTIFICATION = (
    select(
        Delivery.notification_id,
        Delivery.subscription_id,
        Delivery.expires_at,
        Notification.content,
    )
    .join(Notification, Notification.id == Delivery.notification_id)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.ts == bindparam("ts"),
        Delivery.mode.not_in((DeliveryMode.REFRESH, DeliveryMode.REMIND)),
        Delivery.state == DeliveryState.SENT,
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)
_RAISE = BulkUpdate(
    {
        "delivery_id": BigInteger(),
        "new_rank": Integer(),
        "new_urgency": BigInteger(),
        "new_seq": BigInteger(),
    },
    lambda given: (
        update(Delivery.__table__)  # type: ignore[arg-type]
        .where(Delivery.id == given["delivery_id"])
        .values({name: given[f"new_{name}"] for name in ("rank", "urgency", "seq")})
    ),
)
_SNOOZER = select(Incident.assigned_to, Incident.snoozed_by).where(
    Incident.team_id == bindparam("team_id"), Incident.key == bindparam("key")
)


@dataclass(frozen=True)
class ClickedMessage:
    """A message whose button was pressed.

    Attributes:
        addresses: that lanes may have for the channel; a direct message's is the person's id.
    """

    channel_id: str
    ts: str
    addresses: Sequence[str] = field(repr=False)


@dataclass(frozen=True)
class IncidentMessage:
    """A message about an incident; its `ts` is None while it is being sent.

    Attributes:
        subscription_id: of its delivery. Those that follow it keep it: they show the subscriber as
            little to the sender, and end as well when the person may no longer subscribe.
        recipient_id: of its delivery. Those that follow it are for the same person.
        topics: of its notification, as far as they were read.
    """

    lane_id: int
    key: str
    target: str = field(repr=False)
    notification_id: str
    channel_id: str | None
    ts: str | None
    thread_ts: str | None
    source: str
    subscription_id: int | None
    recipient_id: str | None = field(repr=False)
    topics: str | None = None


@dataclass(frozen=True)
class IncidentChange:
    """A change of incidents, with its number in the workspace's change feed."""

    team_id: str
    seq: int
    now: datetime


def refresh_messages(
    connection: Connection,
    change: IncidentChange,
    messages: Sequence[IncidentMessage],
    *,
    rank: int = REFRESH_RANK,
) -> None:
    """Queue refreshes of messages, except those with a refresh that is due as soon.

    A change within `REFRESH_INTERVAL` after a refresh is shown when the interval is over.

    Args:
        messages: about any number of incidents; some statements serve all of them.
        rank: of the refreshes; the lowest goes first in a lane.
    """
    if not messages:
        return
    due = _due(connection, messages, change.now)
    waiting = _waiting(connection, messages)
    crowded = _crowded(waiting, change.now)
    pending = {
        (row.lane_id, row.key, row.ts)
        for row in waiting
        if (row.lane_id, row.key) in due and row.send_at <= due[row.lane_id, row.key]
    }
    rows = [
        _refresh_row(message, change, due[message.lane_id, message.key])
        | {"rank": max(rank, RESOLUTION_RANK) if message.lane_id in crowded else rank}
        for message in messages
        if (message.lane_id, message.key, message.ts) not in pending
    ]
    _insert(connection, rows)
    raised = [
        row
        for row in waiting
        if (row.lane_id, row.key) in due and row.lane_id not in crowded and row.rank > rank
    ]
    _raise(connection, change, raised, rank)


def _waiting(connection: Connection, messages: Sequence[IncidentMessage]) -> Sequence[Any]:
    """Return the refreshes that wait in the lanes of messages."""
    waiting = (
        select(
            Delivery.id,
            Delivery.lane_id,
            Delivery.key,
            Delivery.ts,
            Delivery.send_at,
            Delivery.rank,
        )
        .where(
            is_any_of(Delivery.lane_id, values={message.lane_id for message in messages}),
            Delivery.key.is_not(None),
            Delivery.mode == DeliveryMode.REFRESH,
            IS_PENDING,
            IS_QUEUED,
        )
        # Only the index of pending deliveries has this order: SQLite would take any other.
        .order_by(Delivery.lane_id, Delivery.key, Delivery.urgency)
    )
    return connection.execute(waiting).all()


def _crowded(waiting: Sequence[Any], now: datetime) -> Collection[int]:
    """Return the lanes in which `MOST_AHEAD` or more incidents wait for refreshes."""
    incidents = {(row.lane_id, row.key) for row in waiting if row.send_at <= now + _SOON}
    counts = Counter(lane_id for lane_id, _ in incidents)
    return {lane_id for lane_id, count in counts.items() if count >= MOST_AHEAD}


def _due(
    connection: Connection, messages: Sequence[IncidentMessage], now: datetime
) -> dict[tuple[int, str], datetime]:
    """Return when the next refresh in each lane is due, by lane and key.

    It is later if the lane has many messages about the incident.
    """
    shown = (
        select(Delivery.lane_id, Delivery.key, func.max(Delivery.finished_at).label("at"))
        .where(
            is_any_of(Delivery.lane_id, values={message.lane_id for message in messages}),
            # Without a condition that it is not NULL, by which SQLite would read all keys.
            is_any_of(Delivery.key, values={message.key for message in messages}),
            Delivery.mode == DeliveryMode.REFRESH,
            Delivery.finished_at.is_not(None),
            Delivery.state.in_(_REFRESHED),
        )
        .group_by(Delivery.lane_id, Delivery.key)
    )
    last = {(row.lane_id, row.key): row.at for row in connection.execute(shown)}
    counts = Counter((message.lane_id, message.key) for message in messages)
    return {
        place: max(now, last[place] + REFRESH_INTERVAL * count) if place in last else now
        for place, count in counts.items()
    }


def schedule_snooze_end(
    connection: Connection,
    change: IncidentChange,
    messages: Sequence[IncidentMessage],
    until: datetime,
) -> None:
    """Schedule the refreshes and, once in each channel, the reminder at the end of a snooze."""
    latest = {message.lane_id: message for message in messages if message.ts is not None}
    _insert(
        connection,
        [
            *(_refresh_row(message, change, until) for message in messages),
            *(_reminder_row(message, change, until) for message in latest.values()),
        ],
    )


def cancel_followups(
    connection: Connection, change: IncidentChange, key: str, modes: Collection[str]
) -> None:
    """Cancel follow-up deliveries that may still go out, except refreshes that are due soon."""
    is_refresh = Delivery.mode == DeliveryMode.REFRESH
    is_later_refresh = and_(IS_PENDING, is_refresh, Delivery.send_at > change.now + _SOON)
    connection.execute(
        update(Delivery)
        .where(
            *_is_followup(change.team_id, key, modes),
            Delivery.state.in_(_UNSENT),
            or_(MAY_GO_OUT, is_later_refresh),
        )
        .values(cancelled(change.now, change.seq))
    )


def reschedule_escalations(
    connection: Connection, change: IncidentChange, key: str, not_before: datetime
) -> None:
    """Schedule pending escalations for the time that their sender chose, or `not_before`.

    A snooze postpones them until its end, which people may bring forward.
    """
    pending = (IS_PENDING, IS_QUEUED)
    escalations = select(Delivery.id, Delivery.rank, Delivery.urgency, Delivery.send_at).where(
        *_is_followup(change.team_id, key, (DeliveryMode.ESCALATE,)), *pending
    )
    for row in connection.execute(escalations).all():
        send_at = max(due_at(row.rank, row.urgency), not_before)
        # One that is due keeps its time, from which its retries are counted.
        if send_at > change.now or row.send_at > change.now:
            values = {"send_at": send_at, "state": state_until(send_at, change.now)}
            escalation = update(Delivery).where(Delivery.id == row.id, *pending)
            connection.execute(escalation.values(**values, seq=change.seq))


def find_shown_notification(connection: Connection, lane_id: int, key: str, ts: str) -> Any:
    """Return the row of the latest notification that a message shows, or None."""
    return connection.execute(
        _SHOWN_NOTIFICATION, {"lane_id": lane_id, "key": key, "ts": ts}
    ).first()


def actions_of_message(
    connection: Connection, team_id: str, key: str, notification_id: str, clicked: ClickedMessage
) -> Sequence[str]:
    """Return the actions of the notification that a clicked message shows.

    A message about another key has none. A message that is being posted has no known `ts`, so a
    delivery of the notification to that address that is being sent counts as the clicked message.
    """
    posted = _is_message(clicked.channel_id, clicked.ts)
    in_flight = (
        Delivery.notification_id == notification_id,
        Lane.address.in_(clicked.addresses),
        Delivery.state.in_((DeliveryState.SENDING, DeliveryState.UNKNOWN)),
    )
    latest = _latest(team_id)
    rows = [connection.execute(latest.where(*which)).first() for which in (posted, in_flight)]
    return [
        action
        for row in rows
        if row is not None and row.key == key
        for action in row.content.get("actions", ())
    ]


def incident_of_message(
    connection: Connection, team_id: str, channel_id: str, ts: str
) -> str | None:
    """Return the key of the incident that a message with buttons is about, or None."""
    shown = _latest(team_id).where(*_is_message(channel_id, ts))
    row = connection.execute(shown).first()
    return row.key if row is not None and row.content.get("actions") else None


def reminder_content(connection: Connection, team_id: str, key: str) -> dict[str, Any]:
    """Return the content of a reminder that a snooze is over, for the assignee or the snoozer."""
    row = connection.execute(_SNOOZER, {"team_id": team_id, "key": key}).first()
    user_id = None if row is None else row.assigned_to or row.snoozed_by
    mention = "" if user_id in (None, DELETED_PERSON) else f"<@{user_id}> "
    return {"text": f"{mention}The snooze is over, and this is not resolved yet."}


def escalation_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an escalation: the notification's, marked as unanswered."""
    title = content.get("title")
    return {**content, "title": f"No answer yet: {title}" if title else "No answer yet"}


def _latest(team_id: str) -> Select[Any]:
    """Return the statement for a workspace's latest delivery."""
    return (
        select(Delivery.key, Notification.content)
        .join(Lane, Lane.id == Delivery.lane_id)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(
            # Not the lane's, by which SQLite would read every delivery of the lane.
            Delivery.team_id == team_id,
            Delivery.mode.not_in((DeliveryMode.REFRESH, DeliveryMode.REMIND)),
        )
        .order_by(Delivery.id.desc())
        .limit(1)
    )


def _is_message(channel_id: str, ts: str) -> tuple[Any, ...]:
    return (
        Delivery.channel_id == channel_id,
        Delivery.ts == ts,
        Delivery.ts.is_not(None),
        Delivery.state == DeliveryState.SENT,
    )


def _is_followup(team_id: str, key: str, modes: Collection[str]) -> tuple[Any, ...]:
    lanes = select(Lane.id).where(Lane.team_id == team_id)
    return (
        Delivery.lane_id.in_(lanes),
        Delivery.key == key,
        Delivery.key.is_not(None),
        Delivery.mode.in_(modes),
    )


def find_messages(
    connection: Connection, team_id: str, keys: Collection[str]
) -> list[IncidentMessage]:
    """Return the messages about incidents, each with its latest delivery."""
    latest = (
        select(func.max(Delivery.id))
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(
            Lane.team_id == team_id,
            is_any_of(Delivery.key, values=keys),
            Delivery.key.is_not(None),
            Delivery.mode.not_in((DeliveryMode.REFRESH, DeliveryMode.REMIND)),
            Delivery.state.in_((DeliveryState.SENT, DeliveryState.SENDING)),
        )
        .group_by(Delivery.lane_id, Delivery.key, Delivery.ts)
    )
    statement = (
        select(
            Delivery.lane_id,
            Delivery.key,
            Delivery.target,
            Delivery.notification_id,
            Delivery.channel_id,
            Delivery.ts,
            Delivery.thread_ts,
            Delivery.source,
            Delivery.subscription_id,
            Delivery.recipient_id,
            Notification.topics,
        )
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Delivery.id.in_(latest))
        .order_by(Delivery.id)
    )
    return [IncidentMessage(**row._asdict()) for row in connection.execute(statement)]


def _raise(
    connection: Connection, change: IncidentChange, waiting: Sequence[Any], rank: int
) -> None:
    """Raise waiting refreshes to a rank."""
    rows = [
        {
            "delivery_id": row.id,
            "new_rank": rank,
            "new_urgency": stored_urgency(rank, row.send_at),
            "new_seq": change.seq,
        }
        for row in waiting
    ]
    _RAISE.execute(connection, rows)


def _refresh_row(message: IncidentMessage, change: IncidentChange, at: datetime) -> dict[str, Any]:
    return _row(message, change, at) | {
        "mode": DeliveryMode.REFRESH,
        "rank": REFRESH_RANK,
        "ts": message.ts,
    }


def _reminder_row(message: IncidentMessage, change: IncidentChange, at: datetime) -> dict[str, Any]:
    return _row(message, change, at) | {
        "mode": DeliveryMode.REMIND,
        "thread_ts": message.thread_ts or message.ts,
    }


def _row(message: IncidentMessage, change: IncidentChange, at: datetime) -> dict[str, Any]:
    return {
        "notification_id": message.notification_id,
        "team_id": change.team_id,
        "lane_id": message.lane_id,
        "seq": change.seq,
        "target": message.target,
        "subscription_id": message.subscription_id,
        "recipient_id": message.recipient_id,
        "state": state_until(at, change.now),
        "rank": 0,
        "key": message.key,
        "on_unknown": OnUnknown.RESEND,
        "send_at": at,
        "attempts": 0,
        "channel_id": message.channel_id,
        "ts": None,
        "thread_ts": message.thread_ts,
        "source": message.source,
    }


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(
            insert(Delivery),
            [row | {"urgency": stored_urgency(row["rank"], row["send_at"])} for row in rows],
        )
