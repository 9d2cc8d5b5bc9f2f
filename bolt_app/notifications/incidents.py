"""Incidents: what people answer to notifications that ask them to.

All notifications of a workspace with one key are about one incident. A button pressed under any of
its messages counts for all of them, and each is shown anew, by a delivery in the mode `refresh`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import Delivery, Incident, Lane, Membership, Notification, User
from bolt_app.notifications.bell import Bell
from bolt_app.notifications.lanes import open_lanes
from bolt_app.notifications.shown_incidents import Person, ShownIncident

Answer = Literal["acknowledge", "assign", "resolve", "reopen", "snooze", "wake", "mute", "unmute"]
REFRESH = "refresh"
# A message shown anew goes before what waits in its channel.
REFRESH_RANK = -10

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
    )


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
class Said:
    """A notification that is accepted: whether it asks for an answer, or ends what did."""

    team_id: str
    key: str
    asks: bool


class Incidents:
    """The incidents of all workspaces."""

    def __init__(self, database: Database, bell: Bell, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._bell = bell
        self._clock = clock

    def answer(
        self,
        team_id: str,
        notification_id: str,
        user_id: str,
        answer: Answer,
        duration: timedelta | None = None,
    ) -> bool:
        """Write down what somebody answered, and let every message about it show that.

        Args:
            duration: for how long it is snoozed.

        Returns: whether it changed anything: the second of two clicks does not.
        """
        now = self._clock()
        mine = (Notification.id == notification_id, Notification.team_id == team_id)
        with self._database.writing_connection() as connection:
            key = connection.scalar(select(Notification.key).where(*mine))
            if key is None:
                return False
            places = _places(connection, team_id, key)
            # Lanes are locked before incidents, as where notifications are accepted.
            open_lanes(connection, {(team_id, one.address): now for one in places})
            which = (Incident.team_id == team_id, Incident.key == key)
            condition, values = _change(answer, user_id, now, duration)
            changed = connection.execute(
                update(Incident).where(*which, condition).values(**values, changed_at=now)
            )
            if changed.rowcount == 0:
                return False
            _refresh(connection, places, key, now)
        self._bell.ring()
        return True


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
class Ending:
    """The messages of incidents that are about to end, by workspace and key."""

    places: Mapping[tuple[str, str], Sequence[_Place]]

    def lanes(self) -> set[tuple[str, str]]:
        """Return the workspaces and addresses of the lanes in which they are shown anew."""
        return {
            (team_id, place.address)
            for (team_id, _), places in self.places.items()
            for place in places
        }


def look(connection: Connection, said: Sequence[Said]) -> Ending:
    """Return what notifications with keys are about to end; its lanes are to be locked next."""
    ending = {(one.team_id, one.key): False for one in said if not one.asks}
    known = _known(connection, ending)
    return Ending(
        {
            (team_id, key): _places(connection, team_id, key)
            for (team_id, key), incident in known.items()
            if incident.state != "resolved"
        }
    )


def follow(
    connection: Connection, said: Sequence[Said], ending: Ending, now: datetime
) -> set[tuple[str, str]]:
    """Let incidents follow notifications with keys; return those about which nothing is posted.

    One that asks for an answer opens its incident, or opens it again once it is resolved; one that
    does not ask, about what another asked before, resolves it. The lanes are locked already.
    """
    by_key = {(one.team_id, one.key): one.asks for one in said}
    known = _known(connection, by_key)
    row = {"state_at": now, "changed_at": now}
    opened = [
        {"team_id": team_id, "key": key, **row}
        for (team_id, key), asks in sorted(by_key.items())
        if asks and (known.get((team_id, key)) is None or known[team_id, key].state == "resolved")
    ]
    ended = [one for one, asks in sorted(by_key.items()) if not asks and one in known]
    if opened:
        connection.execute(_OPEN[connection.dialect.name], opened)
    for team_id, key in ended:
        values = {"ended_team_id": team_id, "ended_key": key, "now": now}
        if connection.execute(_END, values).rowcount:
            _refresh(connection, ending.places.get((team_id, key), ()), key, now)
    return {
        one
        for one, incident in known.items()
        if by_key[one] and incident.state != "resolved" and _is_quiet(incident, now)
    }


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


# What is shown.

_PEOPLE = (
    select(User.user_id, User.real_name, User.images)
    .join(Membership, Membership.user_id == User.id)
    .where(
        Membership.team_id == bindparam("team_id"),
        User.user_id.in_(bindparam("user_ids", expanding=True)),
    )
)
_OF_MESSAGE = (
    select(Delivery.notification_id, Notification.content)
    .join(Notification, Notification.id == Delivery.notification_id)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.key == bindparam("key"),
        Delivery.key.is_not(None),
        Delivery.ts == bindparam("ts"),
        Delivery.mode != REFRESH,
        Delivery.state == "sent",
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)


def content_of_message(connection: Connection, lane_id: int, key: str, ts: str) -> Any:
    """Return the notification that a message shows, the last that was put there, or None."""
    return connection.execute(_OF_MESSAGE, {"lane_id": lane_id, "key": key, "ts": ts}).first()


def find_shown(connection: Connection, team_id: str, key: str) -> ShownIncident | None:
    """Return an incident with the people who answered."""
    row = connection.execute(_FIND, {"team_id": team_id, "keys": [key]}).first()
    if row is None:
        return None
    ids = {row.state_by, row.assigned_to, row.snoozed_by, row.muted_by} - {None}
    people = {id_: Person(id_) for id_ in ids}
    for one in connection.execute(_PEOPLE, {"team_id": team_id, "user_ids": list(ids)}):
        image = one.images.get("48") or one.images.get("72")
        people[one.user_id] = Person(one.user_id, one.real_name, image)
    return ShownIncident(
        state=row.state,
        state_at=row.state_at,
        state_by=people.get(row.state_by),
        assigned_to=people.get(row.assigned_to),
        snoozed_until=row.snoozed_until,
        snoozed_by=people.get(row.snoozed_by),
        muted_by=people.get(row.muted_by),
        changed_at=row.changed_at,
    )


# Where it stands.


@dataclass(frozen=True)
class _Place:
    """A message about an incident; without a ts, one that is being sent."""

    lane_id: int
    address: str
    target: str
    notification_id: str
    channel_id: str | None
    ts: str | None
    thread_ts: str | None


def _places(connection: Connection, team_id: str, key: str) -> list[_Place]:
    """Return the messages about an incident, each with the delivery that was put there last."""
    latest = (
        select(func.max(Delivery.id))
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(
            Lane.team_id == team_id,
            Delivery.key == key,
            Delivery.key.is_not(None),
            Delivery.mode != REFRESH,
            Delivery.state.in_(("sent", "sending")),
        )
        .group_by(Delivery.lane_id, Delivery.ts)
    )
    statement = (
        select(
            Delivery.lane_id,
            Lane.address,
            Delivery.target,
            Delivery.notification_id,
            Delivery.channel_id,
            Delivery.ts,
            Delivery.thread_ts,
        )
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.id.in_(latest))
        .order_by(Delivery.id)
    )
    return [_Place(*row) for row in connection.execute(statement)]


def _refresh(connection: Connection, places: Iterable[_Place], key: str, now: datetime) -> None:
    """Let messages be shown anew, those that are not about to be."""
    found = list(places)
    waiting = select(Delivery.lane_id, Delivery.ts).where(
        tuple_(Delivery.lane_id, Delivery.key).in_([(one.lane_id, key) for one in found]),
        Delivery.mode == REFRESH,
        Delivery.state == "waiting",
    )
    about_to = {tuple(row) for row in connection.execute(waiting)} if found else set()
    rows = [
        {
            "notification_id": one.notification_id,
            "lane_id": one.lane_id,
            "target": one.target,
            "state": "waiting",
            "rank": REFRESH_RANK,
            "key": key,
            "mode": REFRESH,
            "on_unknown": "resend",
            "send_at": now,
            "attempts": 0,
            "channel_id": one.channel_id,
            "ts": one.ts,
            "thread_ts": one.thread_ts,
        }
        for one in found
        if (one.lane_id, one.ts) not in about_to
    ]
    if rows:
        connection.execute(insert(Delivery), rows)
