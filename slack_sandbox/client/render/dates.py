"""Dates in Slack's formats, for a reader.

See https://docs.slack.dev/messaging/formatting-message-text#date-formatting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from markupsafe import Markup

from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import link, tag

_TOKEN = re.compile(r"\{(\w+)\}")
_STEPS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def date_text(timestamp: int | None, template: str, reader: Reader) -> str | None:
    """``template`` with its ``{tokens}`` replaced; None if Slack shows the fallback."""
    moment = None if timestamp is None else reader.local(timestamp)
    if moment is None or not template:
        return None
    unknown = False

    def fill(match: re.Match[str]) -> str:
        nonlocal unknown
        write = _TOKENS.get(match[1])
        if write is None:
            unknown = True
            return ""
        text = write(moment, reader)
        return text[:1].upper() + text[1:] if match.start() == 0 else text

    filled = _TOKEN.sub(fill, template)
    return None if unknown else filled


def date_tag(
    timestamp: int | None, template: str, url: object, fallback: str, reader: Reader
) -> Markup:
    """A date element, linked if there is a URL."""
    text = date_text(timestamp, template, reader)
    if text is None or timestamp is None:
        return link(url, fallback)
    moment = reader.local(timestamp)
    shown = tag("time", {"datetime": moment.isoformat() if moment else None}, text)
    return link(url, shown)


def clock(moment: datetime, reader: Reader, seconds: str = "") -> str:
    """The time of day in the reader's format."""
    if reader.has_long_day:
        return f"{moment:%H:%M}{seconds}"
    return f"{moment.hour % 12 or 12}:{moment:%M}{seconds} {'AM' if moment.hour < 12 else 'PM'}"


def day_name(moment: datetime, reader: Reader) -> str:
    """Today, yesterday, or the full date."""
    near = _near(moment, reader)
    return near.capitalize() if near else _long(moment, reader)


def _ordinal(day: int) -> str:
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _near(moment: datetime, reader: Reader) -> str | None:
    distance = moment.date() - reader.now.astimezone(reader.zone).date()
    names = {timedelta(-1): "yesterday", timedelta(0): "today", timedelta(1): "tomorrow"}
    return names.get(distance)


def _date(moment: datetime, reader: Reader) -> str:
    return f"{moment:%B} {_ordinal(moment.day)}, {moment.year}"


def _short(moment: datetime, reader: Reader) -> str:
    return f"{moment:%b} {moment.day}, {moment.year}"


def _long(moment: datetime, reader: Reader) -> str:
    return f"{moment:%A}, {_date(moment, reader)}"


def _divider(moment: datetime, reader: Reader) -> str:
    if moment.year != reader.now.astimezone(reader.zone).year:
        return _long(moment, reader)
    return f"{moment:%A}, {moment:%B} {_ordinal(moment.day)}"


def _ago(moment: datetime, reader: Reader) -> str:
    seconds = (reader.now - moment).total_seconds()
    for name, length in _STEPS:
        number = int(abs(seconds) // length)
        if number:
            duration = f"{number} {name}{'s' if number > 1 else ''}"
            return f"{duration} ago" if seconds > 0 else f"in {duration}"
    return "just now"


_Writer = Callable[[datetime, Reader], str]


def _pretty(write: _Writer) -> _Writer:
    return lambda moment, reader: _near(moment, reader) or write(moment, reader)


_TOKENS: dict[str, _Writer] = {
    "date_num": lambda moment, reader: f"{moment:%Y-%m-%d}",
    "date_slash": lambda moment, reader: f"{moment:%d/%m/%Y}",
    "date": _date,
    "date_short": _short,
    "date_long": _long,
    "date_long_full": lambda moment, reader: f"{moment:%B} {moment.day}, {moment.year}",
    "date_pretty": _pretty(_date),
    "date_short_pretty": _pretty(_short),
    "date_long_pretty": _pretty(_long),
    "day_divider_pretty": _pretty(_divider),
    "time": clock,
    "time_secs": lambda moment, reader: clock(moment, reader, f":{moment:%S}"),
    "ago": _ago,
}
