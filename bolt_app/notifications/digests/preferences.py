"""What people choose of what comes to them: quiet hours, and how they get what names them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import Membership, Preference, User
from bolt_app.db.receipts import record_effect
from bolt_app.db.upsert import upsert
from bolt_app.notifications.subscriptions.schedules import OFF, QuietHours, Schedule, is_zone
from bolt_app.signals import Signals

logger = logging.getLogger(__name__)

NOW = "now"

# The time zone of a linked profile follows the person; it goes before what was kept.
_PROFILE_TZ = (
    select(User.tz)
    .join(Membership, Membership.user_id == User.id)
    .where(Membership.team_id == Preference.team_id, User.user_id == Preference.user_id)
    .limit(1)
    .scalar_subquery()
)
_CHOSEN = select(
    Preference.user_id,
    Preference.quiet_from,
    Preference.quiet_until,
    Preference.direct,
    Preference.changed_at,
    func.coalesce(_PROFILE_TZ, Preference.tz).label("tz"),
).where(Preference.team_id == bindparam("team_id"))
_PREFERENCES = _CHOSEN.where(Preference.user_id.in_(bindparam("user_ids", expanding=True)))
# Read for every App Home.
_OF_PERSON = PreparedSelect(_CHOSEN.where(Preference.user_id == bindparam("user_id")))


@dataclass(frozen=True)
class NotificationPreferences:
    """What a person chose.

    Attributes:
        quiet: the hours in which nothing comes that is not critical.
        direct: how what is sent to them by name comes: `now`, `off`, or as `str` writes a
            schedule by which it comes as one message.
        tz: the time zone whose clocks are meant.
        unreadable: which of it is stored in a form that cannot be read, and does not count.
    """

    quiet: QuietHours | None = None
    direct: str = NOW
    tz: str = "UTC"
    unreadable: tuple[str, ...] = field(default=(), compare=False)

    @property
    def schedule(self) -> Schedule | None:
        """By which what is sent to them by name comes as one message."""
        return None if self.direct in (NOW, OFF) else Schedule.read(self.direct, self.tz)

    @property
    def is_usual(self) -> bool:
        """Whether nothing was chosen."""
        return self.quiet is None and self.direct == NOW


@dataclass(frozen=True)
class PreferenceChange:
    """What a person changed.

    Attributes:
        before: what they had chosen before.
        changed_at: the mark of this change; None where nothing is chosen any more.
    """

    before: NotificationPreferences
    changed_at: datetime | None


class Preferences:
    """What people of all workspaces chose."""

    def __init__(self, database: Database, signals: Signals, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock

    def find(self, team_id: str, user_id: str) -> NotificationPreferences:
        """Return what a person chose; where that is nothing, what is usual."""
        rows = self._database.fetch(_OF_PERSON, {"team_id": team_id, "user_id": user_id})
        return _preferred(rows[0]) if rows else NotificationPreferences()

    def choose(
        self, team_id: str, user_id: str, preferred: NotificationPreferences
    ) -> PreferenceChange:
        """Let a person have it as they want from now on."""
        with self._database.writing() as session:
            record_effect(session, self._clock())
            before, _ = _lock(session, team_id, user_id)
            changed_at = _put(session, team_id, user_id, preferred, self._clock())
        self._signals.person_changed(team_id, user_id)
        return PreferenceChange(before, changed_at)

    def undo(self, team_id: str, user_id: str, change: PreferenceChange) -> bool:
        """Put it back as it was before a change, unless it was changed again since.

        Returns: whether it was done.
        """
        with self._database.writing() as session:
            record_effect(session, self._clock())
            _, changed_at = _lock(session, team_id, user_id)
            if changed_at != change.changed_at:
                return False
            _put(session, team_id, user_id, change.before, self._clock())
        self._signals.person_changed(team_id, user_id)
        return True


def find_preferences(
    connection: Connection, team_id: str, user_ids: Collection[str]
) -> Mapping[str, NotificationPreferences]:
    """Return what people of a workspace chose, those who chose anything."""
    values = {"team_id": team_id, "user_ids": list(user_ids)}
    return {row.user_id: _preferred(row) for row in connection.execute(_PREFERENCES, values)}


def _lock(
    session: Session, team_id: str, user_id: str
) -> tuple[NotificationPreferences, datetime | None]:
    """Lock what a person chose until the transaction ends; return it, and when that was."""
    mine = select(Preference).where(Preference.team_id == team_id, Preference.user_id == user_id)
    row = session.scalar(mine.with_for_update())
    return (NotificationPreferences(), None) if row is None else (_preferred(row), row.changed_at)


def _put(
    session: Session, team_id: str, user_id: str, preferred: NotificationPreferences, now: datetime
) -> datetime | None:
    """Write down what a person chose; nothing is kept of somebody who chose nothing."""
    if preferred.is_usual:
        mine = (Preference.team_id == team_id, Preference.user_id == user_id)
        session.execute(delete(Preference).where(*mine))
        return None
    quiet = preferred.quiet
    upsert(
        session,
        Preference,
        key={"team_id": team_id, "user_id": user_id},
        insert={},
        update={
            "quiet_from": quiet and quiet.start,
            "quiet_until": quiet and quiet.end,
            "direct": preferred.direct,
            "tz": preferred.tz,
            "changed_at": now,
        },
    )
    return now


def _preferred(row: Any) -> NotificationPreferences:
    unreadable = []
    quiet, direct, tz = None, row.direct, row.tz
    if row.quiet_from is not None and row.quiet_until is not None:
        quiet = QuietHours(row.quiet_from, row.quiet_until)
    elif row.quiet_from is not None or row.quiet_until is not None:
        unreadable.append("quiet hours")
    if not _is_direct(direct):
        direct = NOW
        unreadable.append("direct notifications")
    if not is_zone(tz):
        tz = "UTC"
        unreadable.append("time zone")
    if unreadable:
        logger.warning(
            "preferences cannot be read",
            extra={"user_id": row.user_id, "fields": ", ".join(unreadable)},
        )
    return NotificationPreferences(quiet, direct, tz, tuple(unreadable))


def _is_direct(words: str) -> bool:
    if words in (NOW, OFF):
        return True
    try:
        Schedule.read(words, "UTC")
    except ValueError:
        return False
    return True
