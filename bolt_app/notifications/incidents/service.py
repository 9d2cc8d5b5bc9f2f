"""Incidents: the states of notifications that ask for an answer, and people's answers.

All notifications of a workspace with one key are about one incident. A button pressed under any of
its messages counts for all of them, and each message is updated by a delivery in the mode REFRESH.
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
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Incident, Notification
from bolt_app.db.receipts import record_effect
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import IncidentState
from bolt_app.notifications.incidents.blocks import ANSWERS, IncidentAnswer
from bolt_app.notifications.incidents.callbacks import queue_callbacks
from bolt_app.notifications.incidents.errors import NotOfferedError
from bolt_app.notifications.incidents.messages import (
    RESOLUTION_RANK,
    ClickedMessage,
    IncidentChange,
    actions_of_message,
    cancel_followups,
    find_messages,
    incident_of_message,
    refresh_messages,
    reschedule_escalations,
    schedule_snooze_end,
)
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.wakeup import Wakeup

# Takes a workspace and key, and the number of deliveries to charge.
ChargeResolution = Callable[[tuple[str, str], int], None]
# Callback events of answers.
_EVENTS: Mapping[IncidentAnswer, str] = {
    IncidentAnswer.ACKNOWLEDGE: "acknowledged",
    IncidentAnswer.ASSIGN: "assigned",
    IncidentAnswer.RESOLVE: "resolved",
    IncidentAnswer.REOPEN: "reopened",
    IncidentAnswer.SNOOZE: "snoozed",
    IncidentAnswer.WAKE: "woken",
    IncidentAnswer.MUTE: "muted",
    IncidentAnswer.UNMUTE: "unmuted",
}
# The modes of follow-up deliveries that an answer cancels.
_CANCELLED_MODES: Mapping[IncidentAnswer, Collection[str]] = {
    IncidentAnswer.ACKNOWLEDGE: (DeliveryMode.ESCALATE,),
    IncidentAnswer.ASSIGN: (DeliveryMode.ESCALATE,),
    IncidentAnswer.RESOLVE: (DeliveryMode.ESCALATE, DeliveryMode.REMIND, DeliveryMode.REFRESH),
    IncidentAnswer.SNOOZE: (DeliveryMode.REMIND, DeliveryMode.REFRESH),
    IncidentAnswer.WAKE: (DeliveryMode.REMIND, DeliveryMode.REFRESH),
    IncidentAnswer.MUTE: (DeliveryMode.ESCALATE, DeliveryMode.REMIND),
}

_INCIDENTS = Incident.__table__
_OPENED: dict[str, Any] = {
    "state": IncidentState.OPEN,
    "state_by": None,
    "assigned_to": None,
    "snoozed_until": None,
    "snoozed_by": None,
    "muted_by": None,
}
_FIND = select(_INCIDENTS).where(
    Incident.team_id == bindparam("team_id"), is_any_of(Incident.key, "keys")
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
        where=Incident.state == IncidentState.RESOLVED,
    ).returning(_INCIDENTS.c.key)


# Prepared once because they run for every notification.
_OPEN = {dialect.dialect.name: _open_statement(dialect) for dialect in (sqlite, postgresql)}
_RESOLVE = (
    update(_INCIDENTS)  # type: ignore[arg-type]
    .where(
        Incident.team_id == bindparam("resolved_team_id"),
        Incident.key == bindparam("resolved_key"),
        Incident.state != IncidentState.RESOLVED,
    )
    .values(
        state=IncidentState.RESOLVED,
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
    """An accepted notification with a key: it asks for an answer, or resolves the incident."""

    team_id: str
    key: str
    asks: bool


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
        answer: IncidentAnswer,
        duration: timedelta | None = None,
        *,
        clicked: ClickedMessage | None = None,
    ) -> bool:
        """Record a person's answer, and update all messages about the incident.

        Args:
            duration: of a snooze.
            clicked: the message whose button was pressed, if any.

        Returns: whether it changed anything: the second of two clicks does not.

        Raises:
            NotOfferedError: the message shows another incident, or has no such button.
        """
        now = self._clock()
        notification = (Notification.id == notification_id, Notification.team_id == team_id)
        with self._database.writing_connection() as connection:
            record_effect(connection, now, team_id)
            key = connection.scalar(select(Notification.key).where(*notification))
            if clicked is not None:
                _check_offered(connection, team_id, key, notification_id, answer, clicked)
            if key is None:
                return False
            is_incident = [Incident.team_id == team_id, Incident.key == key]
            if answer == IncidentAnswer.REOPEN and clicked is not None:
                # An incident that its sender resolved has no button.
                is_incident.append(Incident.state_by.is_not(None))
            condition, values = _transition(answer, user_id, now, duration)
            if connection.scalar(select(Incident.key).where(*is_incident, condition)) is None:
                return False
            # The workspace is locked before its incidents, as in the intake.
            seq = begin_change(connection, [team_id])[team_id]
            changed = connection.execute(
                update(Incident).where(*is_incident, condition).values(**values, changed_at=now)
            )
            if changed.rowcount == 0:
                return False
            change = IncidentChange(team_id, seq, now)
            messages = find_messages(connection, team_id, [key])
            cancel_followups(connection, change, key, _CANCELLED_MODES.get(answer, ()))
            refresh_messages(connection, change, messages)
            if answer == IncidentAnswer.SNOOZE:
                until = values["snoozed_until"]
                reschedule_escalations(connection, change, key, until)
                schedule_snooze_end(connection, change, messages, until)
            elif answer == IncidentAnswer.WAKE:
                reschedule_escalations(connection, change, key, now)
            shown = [message.notification_id for message in messages]
            event = _EVENTS[answer]
            queue_callbacks(connection, team_id, key, shown, event=event, user_id=user_id, now=now)
        self._wakeup.notify(team_id)
        return True

    def refresh_messages(self, team_id: str, channel_id: str, ts: str) -> bool:
        """Update the messages about an incident, so that they get current buttons.

        Returns: whether the message with that `ts` is about an incident.
        """
        now = self._clock()
        with self._database.writing_connection() as connection:
            record_effect(connection, now, team_id)
            key = incident_of_message(connection, team_id, channel_id, ts)
            if key is None:
                return False
            seq = begin_change(connection, [team_id])[team_id]
            messages = find_messages(connection, team_id, [key])
            refresh_messages(connection, IncidentChange(team_id, seq, now), messages)
        self._wakeup.notify(team_id)
        return True


def _check_offered(
    connection: Connection,
    team_id: str,
    key: str | None,
    notification_id: str,
    answer: IncidentAnswer,
    clicked: ClickedMessage,
) -> None:
    actions: Sequence[str] = []
    if key is not None:
        actions = actions_of_message(connection, team_id, key, notification_id, clicked)
    if not any(answer in ANSWERS[action] for action in actions):
        raise NotOfferedError


def _transition(
    answer: IncidentAnswer, user_id: str, now: datetime, duration: timedelta | None
) -> tuple[Any, dict[str, Any]]:
    """Return the condition under which an answer changes an incident, and the new values."""
    unresolved = Incident.state != IncidentState.RESOLVED
    by_user: dict[str, Any] = {"state_by": user_id, "state_at": now}
    match answer:
        case IncidentAnswer.ACKNOWLEDGE:
            return Incident.state == IncidentState.OPEN, by_user | {
                "state": IncidentState.ACKNOWLEDGED
            }
        case IncidentAnswer.ASSIGN:
            others = or_(Incident.assigned_to.is_(None), Incident.assigned_to != user_id)
            taken = {"state": IncidentState.ACKNOWLEDGED, "assigned_to": user_id}
            return and_(unresolved, others), by_user | taken
        case IncidentAnswer.RESOLVE:
            quiet = {"snoozed_until": None, "snoozed_by": None, "muted_by": None}
            return unresolved, by_user | quiet | {"state": IncidentState.RESOLVED}
        case IncidentAnswer.REOPEN:
            return Incident.state == IncidentState.RESOLVED, {**_OPENED, "state_at": now}
        case IncidentAnswer.SNOOZE:
            until = now + (duration or timedelta(hours=1))
            return unresolved, {"snoozed_until": until, "snoozed_by": user_id}
        case IncidentAnswer.WAKE:
            snoozed = Incident.snoozed_until.is_not(None)
            return snoozed, {"snoozed_until": None, "snoozed_by": None}
        case IncidentAnswer.MUTE:
            return and_(unresolved, Incident.muted_by.is_(None)), {"muted_by": user_id}
        case IncidentAnswer.UNMUTE:
            return Incident.muted_by.is_not(None), {"muted_by": None}


@dataclass(frozen=True)
class IncidentEffects:
    """Effects of signals on incidents, given by workspace and key.

    Attributes:
        opened: incidents that the signals opened.
        quiet: snoozed or muted incidents, about which no new messages are posted.
    """

    opened: frozenset[tuple[str, str]] = frozenset()
    quiet: frozenset[tuple[str, str]] = frozenset()


def apply_signals(
    connection: Connection,
    signals: Sequence[IncidentSignal],
    seq: int,
    now: datetime,
    charge: ChargeResolution,
) -> IncidentEffects:
    """Apply the signals of one workspace's notifications to its incidents.

    A notification that asks for an answer opens its incident, or reopens a resolved one. One that
    does not ask resolves an open incident.

    Args:
        seq: the number of the change that this is part of.
        charge: called before the messages of a resolved incident are refreshed; its errors
            propagate.
    """
    by_key = {(signal.team_id, signal.key): signal.asks for signal in signals}
    known = _load(connection, by_key)
    opened = set()
    for (team_id, key), asks in sorted(by_key.items()):
        incident = known.get((team_id, key))
        is_open = incident is not None and incident.state != IncidentState.RESOLVED
        if not asks and is_open:
            _resolve(connection, (team_id, key), seq, now, charge)
        elif asks and not is_open:
            row = {"team_id": team_id, "key": key, "state_at": now, "changed_at": now}
            # Of two concurrent notifications one opens it.
            if connection.execute(_OPEN[connection.dialect.name], row).first() is not None:
                opened.add((team_id, key))
    quiet = {
        incident_key
        for incident_key, incident in known.items()
        if by_key[incident_key]
        and incident.state != IncidentState.RESOLVED
        and _is_quiet(incident, now)
    }
    return IncidentEffects(frozenset(opened), frozenset(quiet))


def _resolve(
    connection: Connection,
    incident_key: tuple[str, str],
    seq: int,
    now: datetime,
    charge: ChargeResolution,
) -> None:
    team_id, key = incident_key
    values = {"resolved_team_id": team_id, "resolved_key": key, "now": now}
    if connection.execute(_RESOLVE, values).rowcount == 0:
        return
    messages = find_messages(connection, team_id, [key])
    addressed = count_addressed(
        (message.notification_id, message.subscription_id, message.topics) for message in messages
    )
    charge(incident_key, addressed)
    change = IncidentChange(team_id, seq, now)
    cancel_followups(connection, change, key, _CANCELLED_MODES[IncidentAnswer.RESOLVE])
    refresh_messages(connection, change, messages, rank=RESOLUTION_RANK)


def _is_quiet(incident: Any, now: datetime) -> bool:
    is_snoozed = incident.snoozed_until is not None and incident.snoozed_until > now
    return is_snoozed or incident.muted_by is not None


def _load(
    connection: Connection, by_key: Mapping[tuple[str, str], bool]
) -> dict[tuple[str, str], Any]:
    """Return the existing incidents, by workspace and key."""
    found = {}
    for team_id in sorted({team_id for team_id, _ in by_key}):
        keys = [key for team, key in by_key if team == team_id]
        for row in connection.execute(_FIND, {"team_id": team_id, "keys": keys}):
            found[team_id, row.key] = row
    return found
