"""Incidents: what people answer to notifications that ask them to.

All notifications of a workspace with one key are about one incident. A button pressed under any of
its messages counts for all of them, and each is shown anew, by a delivery in the mode `refresh`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.limits import count_addressed
from bolt_app.db import Database
from bolt_app.db.models import Incident, Notification
from bolt_app.db.receipts import record_effect
from bolt_app.notifications.content.modes import ESCALATE, REFRESH, REMIND
from bolt_app.notifications.incidents.blocks import ANSWERS
from bolt_app.notifications.incidents.blocks import Answer as Answer
from bolt_app.notifications.incidents.callbacks import notify_senders
from bolt_app.notifications.incidents.messages import (
    ENDING_RANK,
    Change,
    ClickedMessage,
    actions_of_message,
    find_messages,
    follow_snooze,
    incident_of_message,
    put_off,
    refresh,
    stop_following,
)
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.wakeup import Wakeup

ChargeEnding = Callable[[tuple[str, str], int], None]
# What it is called once it is done.
_EVENTS: Mapping[Answer, str] = {
    "acknowledge": "acknowledged",
    "assign": "assigned",
    "resolve": "resolved",
    "reopen": "reopened",
    "snooze": "snoozed",
    "wake": "woken",
    "mute": "muted",
    "unmute": "unmuted",
}
# What an answer puts an end to: telling others, and the end of a snooze.
_ENDS: Mapping[Answer, Collection[str]] = {
    "acknowledge": (ESCALATE,),
    "assign": (ESCALATE,),
    "resolve": (ESCALATE, REMIND, REFRESH),
    "snooze": (REMIND, REFRESH),
    "wake": (REMIND, REFRESH),
    "mute": (ESCALATE, REMIND),
}

_INCIDENTS = Incident.__table__
_OPENED: dict[str, Any] = {
    "state": "open",
    "state_by": None,
    "assigned_to": None,
    "snoozed_until": None,
    "snoozed_by": None,
    "muted_by": None,
}
_FIND = select(_INCIDENTS).where(
    Incident.team_id == bindparam("team_id"), Incident.key.in_(bindparam("keys", expanding=True))
)


def _open_statement(dialect: Any) -> Any:
    statement = dialect.insert(_INCIDENTS).values(_OPENED)
    return statement.on_conflict_do_update(
        index_elements=["team_id", "key"],
        set_={
            **_OPENED,
            "state_at": statement.excluded.state_at,
            "changed_at": statement.excluded.changed_at,
        },
        where=Incident.state == "resolved",
    ).returning(_INCIDENTS.c.key)


# Run for what is accepted, and so put together once.
_OPEN = {dialect.dialect.name: _open_statement(dialect) for dialect in (sqlite, postgresql)}
_END = (
    update(_INCIDENTS)  # type: ignore[arg-type]
    .where(
        Incident.team_id == bindparam("ended_team_id"),
        Incident.key == bindparam("ended_key"),
        Incident.state != "resolved",
    )
    .values(
        state="resolved",
        state_by=None,
        state_at=bindparam("now"),
        snoozed_until=None,
        snoozed_by=None,
        muted_by=None,
        changed_at=bindparam("now"),
    )
)


@dataclass(frozen=True)
class IncidentSignal:
    """A notification that is accepted: whether it asks for an answer, or ends what did."""

    team_id: str
    key: str
    asks: bool


class NotOfferedError(Exception):
    """The message in which someone answered does not offer that answer."""


class Incidents:
    """The incidents of all workspaces."""

    def __init__(self, database: Database, wakeup: Wakeup, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._wakeup = wakeup
        self._clock = clock

    def answer(
        self,
        team_id: str,
        notification_id: str,
        user_id: str,
        answer: Answer,
        duration: timedelta | None = None,
        *,
        clicked: ClickedMessage | None = None,
    ) -> bool:
        """Write down what somebody answered, and let every message about it show that.

        Args:
            duration: for how long it is snoozed.
            clicked: the message whose button was pressed, where it was one.

        Returns: whether it changed anything: the second of two clicks does not.

        Raises:
            NotOfferedError: the message shows another incident, or has no such button.
        """
        now = self._clock()
        mine = (Notification.id == notification_id, Notification.team_id == team_id)
        with self._database.writing_connection() as connection:
            record_effect(connection, now)
            key = connection.scalar(select(Notification.key).where(*mine))
            if clicked is not None:
                _check_offered(connection, team_id, key, notification_id, answer, clicked)
            if key is None:
                return False
            which = [Incident.team_id == team_id, Incident.key == key]
            if answer == "reopen" and clicked is not None:
                # One that its sender ended has no button.
                which.append(Incident.state_by.is_not(None))
            condition, values = _change(answer, user_id, now, duration)
            if connection.scalar(select(Incident.key).where(*which, condition)) is None:
                return False
            # The workspace is locked before incidents, as where notifications are accepted.
            seq = begin_change(connection, [team_id])[team_id]
            changed = connection.execute(
                update(Incident).where(*which, condition).values(**values, changed_at=now)
            )
            if changed.rowcount == 0:
                return False
            change, messages = (
                Change(team_id, key, seq, now),
                find_messages(connection, team_id, key),
            )
            stop_following(connection, change, _ENDS.get(answer, ()))
            refresh(connection, change, messages)
            if answer == "snooze":
                until = values["snoozed_until"]
                put_off(connection, change, until)
                follow_snooze(connection, change, messages, until)
            shown = [one.notification_id for one in messages]
            event = _EVENTS[answer]
            notify_senders(connection, team_id, key, shown, event=event, user_id=user_id, now=now)
        self._wakeup.notify(team_id)
        return True

    def refresh_messages(self, team_id: str, channel_id: str, ts: str) -> bool:
        """Refresh the messages about an incident, so that they get today's buttons.

        Returns: whether the message with that `ts` is about one.
        """
        now = self._clock()
        with self._database.writing_connection() as connection:
            record_effect(connection, now)
            key = incident_of_message(connection, team_id, channel_id, ts)
            if key is None:
                return False
            seq = begin_change(connection, [team_id])[team_id]
            messages = find_messages(connection, team_id, key)
            refresh(connection, Change(team_id, key, seq, now), messages)
        self._wakeup.notify(team_id)
        return True


def _check_offered(
    connection: Connection,
    team_id: str,
    key: str | None,
    notification_id: str,
    answer: Answer,
    clicked: ClickedMessage,
) -> None:
    actions: Sequence[str] = []
    if key is not None:
        actions = actions_of_message(connection, team_id, key, notification_id, clicked)
    if not any(answer in ANSWERS[action] for action in actions):
        raise NotOfferedError


def _change(
    answer: Answer, user_id: str, now: datetime, duration: timedelta | None
) -> tuple[Any, dict[str, Any]]:
    """Return on which condition an answer changes an incident, and what."""
    unresolved = Incident.state != "resolved"
    into: dict[str, Any] = {"state_by": user_id, "state_at": now}
    match answer:
        case "acknowledge":
            return Incident.state == "open", into | {"state": "acknowledged"}
        case "assign":
            others = or_(Incident.assigned_to.is_(None), Incident.assigned_to != user_id)
            taken = {"state": "acknowledged", "assigned_to": user_id}
            return and_(unresolved, others), into | taken
        case "resolve":
            quiet = {"snoozed_until": None, "snoozed_by": None, "muted_by": None}
            return unresolved, into | quiet | {"state": "resolved"}
        case "reopen":
            return Incident.state == "resolved", {**_OPENED, "state_at": now}
        case "snooze":
            until = now + (duration or timedelta(hours=1))
            return unresolved, {"snoozed_until": until, "snoozed_by": user_id}
        case "wake":
            snoozed = Incident.snoozed_until.is_not(None)
            return snoozed, {"snoozed_until": None, "snoozed_by": None}
        case "mute":
            return and_(unresolved, Incident.muted_by.is_(None)), {"muted_by": user_id}
        case "unmute":
            return Incident.muted_by.is_not(None), {"muted_by": None}


# What is accepted.


@dataclass(frozen=True)
class Followed:
    """What came of notifications with keys, by workspace and key.

    Attributes:
        opened: what nobody has answered as yet.
        quiet: what nothing new is posted about.
    """

    opened: frozenset[tuple[str, str]] = frozenset()
    quiet: frozenset[tuple[str, str]] = frozenset()


def follow(
    connection: Connection,
    said: Sequence[IncidentSignal],
    seq: int,
    now: datetime,
    charge: ChargeEnding,
) -> Followed:
    """Let incidents follow notifications with keys, all of one workspace.

    One that asks for an answer opens its incident, or opens it again once it is resolved; one that
    does not ask, about what another asked before, resolves it.

    Args:
        seq: the number of the change that this is part of.
        charge: called with an incident that ends and how many of its messages to refresh count as
            the sender's, before they are; what it raises is raised.
    """
    by_key = {(one.team_id, one.key): one.asks for one in said}
    known = _known(connection, by_key)
    opened = set()
    for one, asks in sorted(by_key.items()):
        incident = known.get(one)
        if not asks and incident is not None and incident.state != "resolved":
            _end(connection, one, seq, now, charge)
        elif asks and (incident is None or incident.state == "resolved"):
            team_id, key = one
            row = {"team_id": team_id, "key": key, "state_at": now, "changed_at": now}
            # Of two at the same moment one opens it.
            if connection.execute(_OPEN[connection.dialect.name], row).first() is not None:
                opened.add(one)
    quiet = {
        one
        for one, incident in known.items()
        if by_key[one] and incident.state != "resolved" and _is_quiet(incident, now)
    }
    return Followed(frozenset(opened), frozenset(quiet))


def _end(
    connection: Connection,
    about: tuple[str, str],
    seq: int,
    now: datetime,
    charge: ChargeEnding,
) -> None:
    team_id, key = about
    values = {"ended_team_id": team_id, "ended_key": key, "now": now}
    if connection.execute(_END, values).rowcount == 0:
        return
    messages = find_messages(connection, team_id, key)
    addressed = count_addressed((one.notification_id, one.subscription_id) for one in messages)
    charge(about, addressed)
    change = Change(team_id, key, seq, now)
    stop_following(connection, change, _ENDS["resolve"])
    refresh(connection, change, messages, rank=ENDING_RANK)


def _is_quiet(incident: Any, now: datetime) -> bool:
    is_snoozed = incident.snoozed_until is not None and incident.snoozed_until > now
    return is_snoozed or incident.muted_by is not None


def _known(
    connection: Connection, by_key: Mapping[tuple[str, str], bool]
) -> dict[tuple[str, str], Any]:
    found = {}
    for team_id in sorted({team_id for team_id, _ in by_key}):
        keys = [key for team, key in by_key if team == team_id]
        for row in connection.execute(_FIND, {"team_id": team_id, "keys": keys}):
            found[team_id, row.key] = row
    return found
