"""The messages about an incident: where they stand, and the deliveries that follow them.

Such a delivery has a mode of its own. `refresh` shows a message anew, `remind` says in its thread
that a snooze is over, and `escalate` waits to tell others, for as long as nobody answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from bolt_app.db.models import IS_QUEUED, Delivery, Incident, Lane, Notification
from bolt_app.notifications.content.modes import ESCALATE, REFRESH, REMIND
from bolt_app.notifications.queue.change_feed import state_until, stored_urgency
from bolt_app.slack_ids import DELETED_PERSON

# A refreshed message goes before what waits in its channel. A channel takes one message a second:
# so that people who change their minds leave it turns, each message is refreshed only so often.
REFRESH_RANK = -10
REFRESH_INTERVAL = timedelta(seconds=3)
# Where its sender has ended an incident, it goes no further ahead than what senders send.
ENDING_RANK = 0
# In a channel in which so many wait, others go no further ahead either: people who answer many
# incidents keep new messages from it no longer.
MOST_AHEAD = 3
# A refresh that is due so much later comes at the end of a snooze.
_SOON = timedelta(minutes=1)

_OF_MESSAGE = (
    select(Delivery.notification_id, Delivery.subscription_id, Notification.content)
    .join(Notification, Notification.id == Delivery.notification_id)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.ts == bindparam("ts"),
        Delivery.mode.not_in((REFRESH, REMIND)),
        Delivery.state == "sent",
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)
_SNOOZER = select(Incident.assigned_to, Incident.snoozed_by).where(
    Incident.team_id == bindparam("team_id"), Incident.key == bindparam("key")
)


@dataclass(frozen=True)
class ClickedMessage:
    """A message whose button was pressed.

    Attributes:
        addresses: by which lanes may name the channel: a direct message by the person.
    """

    channel_id: str
    ts: str
    addresses: Sequence[str]


@dataclass(frozen=True)
class MessagePosition:
    """A message about an incident; without a ts, one that is being sent."""

    lane_id: int
    target: str
    notification_id: str
    channel_id: str | None
    ts: str | None
    thread_ts: str | None
    source: str
    subscription_id: int | None = None


@dataclass(frozen=True)
class Change:
    """A change to what follows an incident, and its number in the workspace's change feed."""

    team_id: str
    key: str
    seq: int
    now: datetime


def refresh(
    connection: Connection,
    change: Change,
    places: Sequence[MessagePosition],
    *,
    rank: int = REFRESH_RANK,
) -> None:
    """Show messages again, except those that are about to be.

    A change within `REFRESH_INTERVAL` after a refresh is shown once the interval is over.

    Args:
        rank: what goes first in a lane, the lowest.
    """
    if not places:
        return
    refreshes = (
        tuple_(Delivery.lane_id, Delivery.key).in_([(one.lane_id, change.key) for one in places]),
        Delivery.mode == REFRESH,
    )
    due = _due(connection, places, refreshes, change.now)
    waiting = select(Delivery.lane_id, Delivery.ts, Delivery.send_at).where(*refreshes, IS_QUEUED)
    about_to = {
        (row.lane_id, row.ts)
        for row in connection.execute(waiting)
        if row.send_at <= due[row.lane_id]
    }
    others = [one for one in places if (one.lane_id, one.ts) not in about_to]
    crowded = _crowded(connection, places, change.now)
    ranks = {
        one.lane_id: max(rank, ENDING_RANK) if one.lane_id in crowded else rank for one in places
    }
    rows = [
        _refreshing(one, change, due[one.lane_id]) | {"rank": ranks[one.lane_id]} for one in others
    ]
    _insert(connection, rows)
    _hurry(connection, change, [one for one in places if one.lane_id not in crowded], rank)


def _crowded(connection: Connection, places: Sequence[MessagePosition], now: datetime) -> set[int]:
    """Return the lanes in which as many refreshes wait as may go ahead of new messages."""
    waiting = (
        select(Delivery.lane_id)
        .where(
            Delivery.lane_id.in_({one.lane_id for one in places}),
            Delivery.mode == REFRESH,
            IS_QUEUED,
            Delivery.send_at <= now + _SOON,
        )
        .group_by(Delivery.lane_id)
        .having(func.count(Delivery.key.distinct()) >= MOST_AHEAD)
    )
    return set(connection.scalars(waiting))


def _due(
    connection: Connection,
    places: Sequence[MessagePosition],
    refreshes: Sequence[Any],
    now: datetime,
) -> dict[int, datetime]:
    """Return when an incident may be refreshed in each lane: later where it has many messages."""
    shown = (
        select(Delivery.lane_id, func.max(Delivery.finished_at).label("at"))
        .where(*refreshes, Delivery.finished_at.is_not(None), Delivery.state != "cancelled")
        .group_by(Delivery.lane_id)
    )
    last = {row.lane_id: row.at for row in connection.execute(shown)}
    messages = Counter(one.lane_id for one in places)
    return {
        lane_id: max(now, last[lane_id] + REFRESH_INTERVAL * count) if lane_id in last else now
        for lane_id, count in messages.items()
    }


def follow_snooze(
    connection: Connection, change: Change, places: Sequence[MessagePosition], until: datetime
) -> None:
    """Let the end of a snooze be seen and told, once in each channel."""
    latest = {one.lane_id: one for one in places if one.ts is not None}
    _insert(
        connection,
        [
            *(_refreshing(one, change, until) for one in places),
            *(_reminding(one, change, until) for one in latest.values()),
        ],
    )


def stop_following(connection: Connection, change: Change, modes: Collection[str]) -> None:
    """Cancel what was to follow; refreshes that are about to begin stay."""
    connection.execute(
        update(Delivery)
        .where(
            *_is_following(change, modes),
            or_(Delivery.mode != REFRESH, Delivery.send_at > change.now + _SOON),
        )
        .values(state="cancelled", finished_at=change.now, seq=change.seq)
    )


def put_off(connection: Connection, change: Change, until: datetime) -> None:
    """Let nothing be escalated before `until`."""
    state = state_until(until, change.now)
    connection.execute(
        update(Delivery)
        .where(*_is_following(change, (ESCALATE,)), Delivery.send_at < until)
        .values(send_at=until, state=state, seq=change.seq)
    )


def content_of_message(connection: Connection, lane_id: int, key: str, ts: str) -> Any:
    """Return the notification that a message shows, the last that was put there, or None."""
    return connection.execute(_OF_MESSAGE, {"lane_id": lane_id, "key": key, "ts": ts}).first()


def actions_of_message(
    connection: Connection, team_id: str, key: str, notification_id: str, clicked: ClickedMessage
) -> Sequence[str]:
    """Return what the sender of the notification that a message shows lets people answer.

    Nothing is returned for a message about something else. Where one of the notification is just
    being posted there, its `ts` is not known yet: then it is that one.
    """
    known = _is_message(clicked.channel_id, clicked.ts)
    on_its_way = (
        Delivery.notification_id == notification_id,
        Lane.address.in_(clicked.addresses),
        Delivery.state.in_(("sending", "unknown")),
    )
    latest = _latest(team_id)
    rows = [connection.execute(latest.where(*one)).first() for one in (known, on_its_way)]
    return [
        action
        for row in rows
        if row is not None and row.key == key
        for action in row.content.get("actions", ())
    ]


def incident_of_message(
    connection: Connection, team_id: str, channel_id: str, ts: str
) -> str | None:
    """Return the key of the incident that a message lets people answer, or None."""
    shown = _latest(team_id).where(*_is_message(channel_id, ts))
    row = connection.execute(shown).first()
    return row.key if row is not None and row.content.get("actions") else None


def reminder(connection: Connection, team_id: str, key: str) -> dict[str, Any]:
    """Return what is said when a snooze is over, to whoever takes care of it or snoozed it."""
    row = connection.execute(_SNOOZER, {"team_id": team_id, "key": key}).first()
    user_id = None if row is None else row.assigned_to or row.snoozed_by
    mention = "" if user_id in (None, DELETED_PERSON) else f"<@{user_id}> "
    return {"text": f"{mention}The snooze is over, and this is not resolved yet."}


def escalated(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said to those who hear of it because nobody answered."""
    title = content.get("title")
    return {**content, "title": f"No answer yet: {title}" if title else "No answer yet"}


def _latest(team_id: str) -> Select[Any]:
    """Return the statement that finds the latest of a workspace's deliveries."""
    return (
        select(Delivery.key, Notification.content)
        .join(Lane, Lane.id == Delivery.lane_id)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Lane.team_id == team_id, Delivery.mode.not_in((REFRESH, REMIND)))
        .order_by(Delivery.id.desc())
        .limit(1)
    )


def _is_message(channel_id: str, ts: str) -> tuple[Any, ...]:
    return (
        Delivery.channel_id == channel_id,
        Delivery.ts == ts,
        Delivery.ts.is_not(None),
        Delivery.state == "sent",
    )


def _is_following(change: Change, modes: Collection[str]) -> tuple[Any, ...]:
    mine = select(Lane.id).where(Lane.team_id == change.team_id)
    return (
        Delivery.lane_id.in_(mine),
        Delivery.key == change.key,
        Delivery.key.is_not(None),
        Delivery.mode.in_(modes),
        IS_QUEUED,
    )


def find_messages(connection: Connection, team_id: str, key: str) -> list[MessagePosition]:
    """Return the messages about an incident, each with the delivery that was put there last."""
    latest = (
        select(func.max(Delivery.id))
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(
            Lane.team_id == team_id,
            Delivery.key == key,
            Delivery.key.is_not(None),
            Delivery.mode.not_in((REFRESH, REMIND)),
            Delivery.state.in_(("sent", "sending")),
        )
        .group_by(Delivery.lane_id, Delivery.ts)
    )
    statement = (
        select(
            Delivery.lane_id,
            Delivery.target,
            Delivery.notification_id,
            Delivery.channel_id,
            Delivery.ts,
            Delivery.thread_ts,
            Delivery.source,
            Delivery.subscription_id,
        )
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.id.in_(latest))
        .order_by(Delivery.id)
    )
    return [MessagePosition(*row) for row in connection.execute(statement)]


def _hurry(
    connection: Connection, change: Change, places: Sequence[MessagePosition], rank: int
) -> None:
    """Let refreshes that wait go as far ahead as new ones."""
    waiting = select(Delivery.id, Delivery.send_at).where(
        Delivery.lane_id.in_([one.lane_id for one in places]),
        Delivery.key == change.key,
        Delivery.key.is_not(None),
        Delivery.mode == REFRESH,
        IS_QUEUED,
        Delivery.rank > rank,
    )
    for row in connection.execute(waiting).all():
        urgency = stored_urgency(rank, row.send_at)
        ahead = update(Delivery).where(Delivery.id == row.id)
        connection.execute(ahead.values(rank=rank, urgency=urgency, seq=change.seq))


def _refreshing(place: MessagePosition, change: Change, at: datetime) -> dict[str, Any]:
    return _row(place, change, at) | {"mode": REFRESH, "rank": REFRESH_RANK, "ts": place.ts}


def _reminding(place: MessagePosition, change: Change, at: datetime) -> dict[str, Any]:
    return _row(place, change, at) | {"mode": REMIND, "thread_ts": place.thread_ts or place.ts}


def _row(place: MessagePosition, change: Change, at: datetime) -> dict[str, Any]:
    return {
        "notification_id": place.notification_id,
        "team_id": change.team_id,
        "lane_id": place.lane_id,
        "seq": change.seq,
        "target": place.target,
        "state": state_until(at, change.now),
        "rank": 0,
        "key": change.key,
        "on_unknown": "resend",
        "send_at": at,
        "attempts": 0,
        "channel_id": place.channel_id,
        "ts": None,
        "thread_ts": place.thread_ts,
        "source": place.source,
    }


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(
            insert(Delivery),
            [row | {"urgency": stored_urgency(row["rank"], row["send_at"])} for row in rows],
        )
