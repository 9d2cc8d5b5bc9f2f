"""Schedules and quiet hours in local time, across daylight saving changes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bolt_app.notifications.subscriptions.schedules import (
    QuietHours,
    Schedule,
    is_zone,
    read_time,
    zone_of,
)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/St_Johns",
]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

zones = st.sampled_from(ZONES)
moments = st.integers(0, 30 * 366 * 86_400).map(
    lambda seconds: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
schedules = st.builds(Schedule, st.none() | times, zones)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@given(schedules, moments)
def test_it_is_always_later_and_soon(schedule: Schedule, moment: datetime) -> None:
    found = schedule.next_after(moment)

    assert found > moment
    # A day of the clocks has up to 25 hours, and in Samoa one day was left out.
    assert found - moment <= (HOUR if schedule.daily_at is None else 2 * DAY + HOUR)
    assert found.utcoffset() == timedelta(0)


@given(schedules, moments, st.floats(0, 1))
def test_nothing_lies_between(schedule: Schedule, moment: datetime, part: float) -> None:
    """A slightly later call returns the same moment, until that has passed."""
    found = schedule.next_after(moment)
    between = moment + (found - moment) * part

    assert schedule.next_after(between) == found or between >= found


@given(zones, times, moments)
def test_each_day_has_one_at_its_time(tz: str, daily_at: time, moment: datetime) -> None:
    schedule, found = Schedule(daily_at, tz), []
    for _ in range(400):
        moment = schedule.next_after(moment)
        found.append(moment.astimezone(zone_of(tz)))

    days = [one.date() for one in found]
    assert len(set(days)) == len(days)
    assert all(after - before in (DAY, 2 * DAY) for before, after in pairwise(days))
    for one in found:
        was_skipped = one.replace(tzinfo=None) != datetime.combine(one.date(), daily_at)
        if was_skipped:
            # Such a time was not on the clocks of that day.
            named = datetime.combine(one.date(), daily_at, zone_of(tz))
            assert named.astimezone(UTC).astimezone(zone_of(tz)).time() != daily_at


@pytest.mark.parametrize(
    ("tz", "daily_at", "before", "then"),
    [
        # 02:30 is skipped, and comes twice.
        # 00:01 becomes 23:01 of the day before.
        ("America/St_Johns", time(0, 1), "2010-11-06T12:00Z", "2010-11-07T00:01-03:30"),
        ("Europe/Berlin", time(2, 30), "2026-03-28T12:00Z", "2026-03-29T03:30+02:00"),
        ("Europe/Berlin", time(2, 30), "2026-10-24T12:00Z", "2026-10-25T02:30+02:00"),
        ("Europe/Berlin", time(2, 30), "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("Europe/Berlin", time(9, 0), "2026-03-28T08:00Z", "2026-03-29T09:00+02:00"),
        ("Europe/Berlin", time(9, 0), "2026-10-24T07:00Z", "2026-10-25T09:00+01:00"),
        ("America/New_York", time(9, 0), "2026-07-01T13:00Z", "2026-07-02T09:00-04:00"),
        ("Asia/Kolkata", None, "2026-07-01T13:10Z", "2026-07-01T13:30Z"),
        ("Nowhere/Atall", time(9, 0), "2026-07-01T13:10Z", "2026-07-02T09:00Z"),
    ],
)
def test_local_time_counts(tz: str, daily_at: time | None, before: str, then: str) -> None:
    assert Schedule(daily_at, tz).next_after(at(before)) == at(then)


@given(schedules)
def test_a_written_schedule_is_read_back(schedule: Schedule) -> None:
    assert Schedule.read(str(schedule), schedule.tz) == schedule
    assert len(str(schedule)) <= 16


@given(times, times, zones, moments)
def test_quiet_hours_end_at_their_time(start: time, end: time, tz: str, moment: datetime) -> None:
    assume(start != end)
    until = QuietHours(start, end).end_after(moment, tz)

    if until is None:
        return
    assert until == Schedule(end, tz).next_after(moment)
    assert QuietHours(start, end).end_after(until, tz) is None


@given(times, times, st.integers(0, 23), st.integers(0, 59))
def test_quiet_hours_are_those_between(start: time, end: time, hour: int, minute: int) -> None:
    assume(start != end)
    now = time(hour, minute)

    until = QuietHours(start, end).end_after(datetime(2026, 7, 1, hour, minute, tzinfo=UTC), "UTC")

    between = start <= now < end if start < end else now >= start or now < end
    assert (until is not None) is between


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-03-28T23:30+01:00", "2026-03-29T03:30+02:00"),
        ("2026-03-29T03:29+02:00", "2026-03-29T03:30+02:00"),
        ("2026-03-29T03:30+02:00", None),
        ("2026-10-24T23:30+02:00", "2026-10-25T02:30+02:00"),
        # 02:15 comes once more, when they have ended.
        ("2026-10-25T02:15+02:00", "2026-10-25T02:30+02:00"),
        ("2026-10-25T02:15+01:00", None),
    ],
)
def test_quiet_hours_end_once_where_the_clocks_change(moment: str, until: str | None) -> None:
    found = QuietHours(time(22), time(2, 30)).end_after(at(moment), "Europe/Berlin")

    assert found == (None if until is None else at(until))


@given(st.text())
def test_any_zone_name_is_handled(name: str) -> None:
    assert zone_of(name) is not None
    assert is_zone(name) in (True, False)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("9", time(9)),
        ("09:00", time(9)),
        ("9.30", time(9, 30)),
        ("9am", time(9)),
        ("12 AM", time(0)),
        ("12pm", time(12)),
        ("9:30 pm", time(21, 30)),
        ("23:59", time(23, 59)),
    ],
)
def test_times_have_many_spellings(words: str, found: time) -> None:
    assert read_time(words) == found


@pytest.mark.parametrize("words", ["", "24:00", "9:60", "13pm", "0am", "noon", "9:0", "-1"])
def test_invalid_times_are_rejected(words: str) -> None:
    with pytest.raises(ValueError, match="not a time of day"):
        read_time(words)


@given(st.text())
def test_reading_a_time_raises_nothing_else(words: str) -> None:
    try:
        found = read_time(words)
    except ValueError:
        return
    assert read_time(f"{found:%H:%M}") == found
