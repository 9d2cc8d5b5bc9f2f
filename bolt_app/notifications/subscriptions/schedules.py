"""Schedules of digests and quiet hours, in a time zone.

A local time that is skipped in spring is shifted by the gap; of one that occurs twice in autumn the
first counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

HOURLY, DAILY, OFF = "hourly", "daily", "off"
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_TIME = re.compile(r"(?P<hours>[0-9]{1,2})(?:[:.](?P<minutes>[0-9]{2}))?\s*(?P<half>[ap]m)?", re.I)


@dataclass(frozen=True)
class Schedule:
    """When digests are released: every full hour, or daily at a time.

    Attributes:
        daily_at: the time of day; None for hourly.
        tz: the name of the time zone.
    """

    daily_at: time | None = None
    tz: str = "UTC"

    @classmethod
    def read(cls, words: str, tz: str) -> Self:
        """Return the schedule that `str` wrote as `words`.

        Raises:
            ValueError: it is not a schedule.
        """
        if words == HOURLY:
            return cls(None, tz)
        kind, _, at = words.partition(" ")
        if kind != DAILY:
            raise ValueError("neither hourly nor daily")
        return cls(time.fromisoformat(at), tz)

    def __str__(self) -> str:
        return HOURLY if self.daily_at is None else f"{DAILY} {self.daily_at:%H:%M}"

    def next_after(self, moment: datetime) -> datetime:
        """Return the first release after a moment, in UTC."""
        zone = zone_of(self.tz)
        if self.daily_at is None:
            return _next_full_hour(moment, zone)
        return next_at(self.daily_at, zone, moment)


@dataclass(frozen=True)
class QuietHours:
    """The daily hours from one time to another, across midnight if `end` is before `start`."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def end_after(self, moment: datetime, tz: str) -> datetime | None:
        """Return their end, in UTC, for a moment within them; None for another.

        Args:
            tz: the name of the time zone.
        """
        zone = zone_of(tz)
        end = next_at(self.end, zone, _last_at(self.start, zone, moment))
        return end if moment < end else None


def is_zone(name: str | None) -> bool:
    """Whether this machine knows a time zone with that name."""
    return name is not None and _find_zone(name) is not None


def zone_of(name: str) -> tzinfo:
    """Return the time zone with a name; UTC for one that this machine does not know (any more)."""
    return _find_zone(name) or UTC


def next_at(at: time, zone: tzinfo, moment: datetime) -> datetime:
    """Return the first moment after `moment` with local time `at`, in UTC."""
    day = moment.astimezone(zone).date() - _DAY
    while (found := _at(day, at, zone)) <= moment:
        day += _DAY
    return found


def _last_at(at: time, zone: tzinfo, moment: datetime) -> datetime:
    """Return the last moment with local time `at`, up to and including `moment`."""
    day = moment.astimezone(zone).date() + _DAY
    while (found := _at(day, at, zone)) > moment:
        day -= _DAY
    return found


def read_time(words: str) -> time:
    """Return the time of day that a person wrote: `9`, `09:00`, `9am`, `9:30 pm`.

    Raises:
        ValueError: it is not a time of day.
    """
    match = _TIME.fullmatch(words.strip())
    if match is None:
        raise ValueError(f"“{words.strip()[:80]}” is not a time of day: write it as 09:00.")
    hours, minutes = int(match["hours"]), int(match["minutes"] or 0)
    half = (match["half"] or "").lower()
    if half and 1 <= hours <= 12:
        hours = hours % 12 + (12 if half == "pm" else 0)
    elif half:
        hours = 24
    if hours > 23 or minutes > 59:
        raise ValueError(f"“{words.strip()[:80]}” is not a time of day: write it as 09:00.")
    return time(hours, minutes)


@lru_cache(maxsize=1024)
def _find_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def _at(day: date, at: time, zone: tzinfo) -> datetime:
    first, second = (
        datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)
    )
    # Where clocks go back at `at` itself, local time then is still on the day before.
    is_earlier = first.astimezone(zone).date() < day
    return second if is_earlier else first


def _next_full_hour(moment: datetime, zone: tzinfo) -> datetime:
    """Return the next full hour of local time, whose offset may include minutes."""
    offset = moment.astimezone(zone).utcoffset() or timedelta(0)
    shown = moment.astimezone(UTC) + offset
    return shown.replace(minute=0, second=0, microsecond=0) + _HOUR - offset
