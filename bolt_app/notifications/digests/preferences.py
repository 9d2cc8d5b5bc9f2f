"""Notification preferences of people: quiet hours, and delivery of direct notifications."""

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
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Membership, Preference, User
from bolt_app.db.receipts import record_effect
from bolt_app.db.upsert import upsert
from bolt_app.notifications.subscriptions.schedules import OFF, QuietHours, Schedule, is_zone
from bolt_app.signals import Signals

logger = logging.getLogger(__name__)

NOW = "now"

# The time zone of a linked profile takes precedence over the stored one: it follows the person.
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
_PREFERENCES = _CHOSEN.where(is_any_of(Preference.user_id, "user_ids"))
# Prepared once because it runs for every App Home.
_OF_PERSON = PreparedSelect(_CHOSEN.where(Preference.user_id == bindparam("user_id")))


@dataclass(frozen=True)
class NotificationPreferences:
    """The preferences of a person.

    Attributes:
        quiet: the hours in which only critical notifications are delivered.
        direct: delivery of direct notifications: `now`, `off`, or a digest schedule as `str`
            writes it.
        tz: the time zone of schedule and hours.
        unreadable: fields that cannot be read, and are ignored.
    """

    quiet: QuietHours | None = None
    direct: str = NOW
    tz: str = "UTC"
    unreadable: tuple[str, ...] = field(default=(), compare=False)

    @property
    def schedule(self) -> Schedule | None:
        """The digest schedule of direct notifications."""
        return None if self.direct in (NOW, OFF) else Schedule.read(self.direct, self.tz)

    @property
    def is_default(self) -> bool:
        """Whether these are the default preferences."""
        return self.quiet is None and self.direct == NOW


@dataclass(frozen=True)
class PreferenceChange:
    """A change of a person's preferences.

    Attributes:
        before: the earlier preferences.
        changed_at: identifies this change; None if the preferences are now the defaults.
    """

    before: NotificationPreferences
    changed_at: datetime | None


class Preferences:
    """The notification preferences of people in all workspaces."""

    def __init__(self, database: Database, signals: Signals, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock

    def find(self, team_id: str, user_id: str) -> NotificationPreferences:
        """Return a person's preferences; the defaults if they chose none."""
        rows = self._database.fetch(_OF_PERSON, {"team_id": team_id, "user_id": user_id})
        return _preferences(rows[0]) if rows else NotificationPreferences()

    def choose(
        self, team_id: str, user_id: str, preferences: NotificationPreferences
    ) -> PreferenceChange:
        """Store a person's preferences."""
        with self._database.writing() as session:
            record_effect(session, self._clock(), team_id)
            before, chosen_at = _lock(session, team_id, user_id)
            changed_at = _put(session, team_id, user_id, preferences, self._clock())
        if preferences.is_default and chosen_at is not None:
            self._database.forget_deleted()
        self._signals.person_changed(team_id, user_id)
        return PreferenceChange(before, changed_at)

    def undo(self, team_id: str, user_id: str, change: PreferenceChange) -> bool:
        """Undo a change, unless the preferences were changed again since.

        Returns: whether it was undone.
        """
        with self._database.writing() as session:
            record_effect(session, self._clock(), team_id)
            _, chosen_at = _lock(session, team_id, user_id)
            if chosen_at != change.changed_at:
                return False
            _put(session, team_id, user_id, change.before, self._clock())
        if change.before.is_default and chosen_at is not None:
            self._database.forget_deleted()
        self._signals.person_changed(team_id, user_id)
        return True


def find_preferences(
    connection: Connection, team_id: str, user_ids: Collection[str]
) -> Mapping[str, NotificationPreferences]:
    """Return the stored preferences of people of a workspace, by user id."""
    values = {"team_id": team_id, "user_ids": list(user_ids)}
    return {row.user_id: _preferences(row) for row in connection.execute(_PREFERENCES, values)}


def _lock(
    session: Session, team_id: str, user_id: str
) -> tuple[NotificationPreferences, datetime | None]:
    """Lock a person's preferences until the transaction ends; return them, and `changed_at`."""
    stored = select(Preference).where(Preference.team_id == team_id, Preference.user_id == user_id)
    row = session.scalar(stored.with_for_update())
    return (NotificationPreferences(), None) if row is None else (_preferences(row), row.changed_at)


def _put(
    session: Session,
    team_id: str,
    user_id: str,
    preferences: NotificationPreferences,
    now: datetime,
) -> datetime | None:
    """Store a person's preferences; delete the row for the defaults."""
    if preferences.is_default:
        is_theirs = (Preference.team_id == team_id, Preference.user_id == user_id)
        session.execute(delete(Preference).where(*is_theirs))
        return None
    quiet = preferences.quiet
    upsert(
        session,
        Preference,
        key={"team_id": team_id, "user_id": user_id},
        insert={},
        update={
            "quiet_from": quiet and quiet.start,
            "quiet_until": quiet and quiet.end,
            "direct": preferences.direct,
            "tz": preferences.tz,
            "changed_at": now,
        },
    )
    return now


def _preferences(row: Any) -> NotificationPreferences:
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


def _is_direct(text: str) -> bool:
    if text in (NOW, OFF):
        return True
    try:
        Schedule.read(text, "UTC")
    except ValueError:
        return False
    return True
