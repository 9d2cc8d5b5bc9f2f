"""Parsing of the text after `/notify`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches

from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.subscriptions.filters import parse_typed_filter
from bolt_app.notifications.subscriptions.schedules import (
    DAILY,
    HOURLY,
    OFF,
    QuietHours,
    Schedule,
    read_time,
)
from bolt_app.text_forms import typed

COMMANDS = ("subscribe", "unsubscribe", "list", "mute", "unmute", "digest", "quiet", "test", "help")
# Longer than any valid command. Some of the patterns below are slow on long runs of spaces.
LONGEST = 1000
LONGEST_MUTE = timedelta(days=30)
# `/notify` says "channel" where the API says "new".
MODE_WORDS = {"channel": Mode.NEW, "thread": Mode.THREAD, "update": Mode.UPDATE}
_MODE = re.compile(r"(?:^|(?<=\s))mode\s*[=:]\s*(\S*)", re.IGNORECASE)
_MUTE = re.compile(
    r"(?:(?P<before>.*\S)\s+)??(?P<number>\d{1,5})\s*"
    r"(?P<unit>m|min|minutes?|h|hours?|d|days?|w|weeks?)(?:\s+(?P<after>\S.*))?",
    re.IGNORECASE | re.DOTALL,
)
_EXAMPLES = {HOURLY: HOURLY, DAILY: f"{DAILY} 09:00", OFF: OFF}
_FREQUENCIES = tuple(_EXAMPLES)
_AT = r"(?:\s+(?:at\s+)?[0-9][0-9:.]*(?:\s*[ap]m)?)?"
_WHEN = rf"(?:{HOURLY}|{DAILY}|{OFF}){_AT}"
_TOPIC_FIRST = re.compile(rf"(?:(?P<topic>.*\S)\s+)?(?P<when>{_WHEN})", re.IGNORECASE | re.DOTALL)
_TOPIC_LAST = re.compile(rf"(?P<when>{_WHEN})\s+(?P<topic>\S.*)", re.IGNORECASE | re.DOTALL)
# Between conditions. `digest=…` is a condition itself.
_DIGEST = re.compile(rf"(?:^|(?<=\s))digest\s+(?P<when>[a-z]+{_AT})(?=\s|$)", re.IGNORECASE)
_FROM_UNTIL = re.compile(
    r"(?:from\s+)?(?P<start>\d.*?)\s*(?:-|to|until|till)\s*(?P<end>\d.*)",
    re.IGNORECASE | re.DOTALL,
)
_QUIET_EXAMPLE = "22:00-07:00"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Subscribe:
    """Deliver notifications to a topic here."""

    topic: str
    filter: str = field(repr=False)
    mode: Mode | None
    digest: Schedule | None = None


@dataclass(frozen=True)
class Unsubscribe:
    """End a subscription."""

    topic: str


@dataclass(frozen=True)
class ListHere:
    """List the subscriptions here."""


@dataclass(frozen=True)
class Mute:
    """Deliver nothing for a while, for all subscriptions or that of `topic`."""

    duration: timedelta
    topic: str | None = None


@dataclass(frozen=True)
class Unmute:
    """End a mute, for all subscriptions or that of `topic`."""

    topic: str | None = None


@dataclass(frozen=True)
class Digest:
    """Deliver a subscription as a digest; without a schedule, end the digest."""

    schedule: Schedule | None
    topic: str | None = None


@dataclass(frozen=True)
class Quiet:
    """Set the person's quiet hours; None ends them."""

    hours: QuietHours | None


@dataclass(frozen=True)
class SendTest:
    """Send a test notification here."""


@dataclass(frozen=True)
class NotifyHelp:
    """List the commands."""


@dataclass(frozen=True)
class ParseError:
    """Text that is not a command: the reason in a sentence, and the nearest command."""

    reason: str = field(repr=False)
    nearest: str = field(default="", repr=False)


NotifyRequest = (
    Subscribe
    | Unsubscribe
    | ListHere
    | Mute
    | Unmute
    | Digest
    | Quiet
    | SendTest
    | NotifyHelp
    | ParseError
)


class _ScheduleError(ValueError):
    """Text that is not a schedule; `nearest` is the nearest schedule."""

    def __init__(self, reason: str, nearest: str) -> None:
        super().__init__(reason)
        self.nearest = nearest


def parse_notify_command(text: str) -> NotifyRequest:
    """Return the request in the text after `/notify`; never raises."""
    words = typed(_unescaped(text))
    if not words:
        return NotifyHelp()
    if len(words) > LONGEST:
        return ParseError(f"A command may have up to {LONGEST} characters.")
    first, *rest = words.split(maxsplit=1)
    command, arguments = first.lower(), rest[0].strip() if rest else ""
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 1, 0.6)
        nearest = f"{near[0]} {arguments}".strip() if near else ""
        return ParseError(f"Unknown command “{cut(first, 80)}”.", nearest)
    try:
        return _request(command, arguments)
    except ValueError as error:
        return ParseError(str(error))


def _request(command: str, arguments: str) -> NotifyRequest:
    """Return the request; raises ValueError with a sentence if the arguments are invalid."""
    match command:
        case "subscribe":
            return _subscribe(arguments)
        case "unsubscribe":
            if not arguments:
                return ParseError("Name a topic.", "unsubscribe deploys")
            return Unsubscribe(normal_pattern(arguments))
        case "mute":
            return _mute(arguments)
        case "unmute":
            return Unmute(normal_pattern(arguments) if arguments else None)
        case "digest":
            return _digest(arguments)
        case "quiet":
            return _quiet(arguments)
        case "list":
            return ListHere()
        case "test":
            return SendTest()
    return NotifyHelp()


def _subscribe(arguments: str) -> NotifyRequest:
    if not arguments:
        return ParseError("Name a topic.", "subscribe deploys")
    topic, *rest = arguments.split(maxsplit=1)
    conditions, mode, schedule = rest[0] if rest else "", None, None
    asked = _MODE.search(conditions)
    if asked is not None:
        word = asked[1].lower()
        if word not in MODE_WORDS:
            near = get_close_matches(word, MODE_WORDS, 1, 0.5) or ["thread"]
            reason = f"“{cut(word, 80)}” is not a mode. Use one of: {', '.join(MODE_WORDS)}."
            nearest = _with(conditions, asked, f"mode={near[0]}")
            return ParseError(reason, f"subscribe {topic} {nearest}")
        mode = MODE_WORDS[word]
        conditions = _with(conditions, asked, "")
    asked = _DIGEST.search(conditions)
    if asked is not None:
        try:
            schedule = _schedule(asked["when"])
        except _ScheduleError as error:
            nearest = _with(conditions, asked, f"digest {error.nearest}")
            return ParseError(str(error), f"subscribe {topic} {nearest}")
        conditions = _with(conditions, asked, "")
    wanted = str(parse_typed_filter(conditions.strip()))
    return Subscribe(normal_pattern(topic), wanted, mode, schedule)


def _with(words: str, asked: re.Match[str], new: str) -> str:
    """Return the words with a match replaced."""
    return f"{words[: asked.start()]}{new}{words[asked.end() :]}"


def _digest(arguments: str) -> NotifyRequest:
    match = _TOPIC_FIRST.fullmatch(arguments) or _TOPIC_LAST.fullmatch(arguments)
    if match is None:
        return _no_digest(arguments.split())
    topic = normal_pattern(match["topic"]) if match["topic"] else None
    try:
        return Digest(_schedule(match["when"]), topic)
    except _ScheduleError as error:
        return ParseError(str(error), " ".join(filter(None, ["digest", topic, error.nearest])))


def _quiet(arguments: str) -> NotifyRequest:
    if arguments.lower() == OFF:
        return Quiet(None)
    times = _FROM_UNTIL.fullmatch(arguments)
    if times is None:
        return ParseError("Enter a start and an end time, or off.", f"quiet {_QUIET_EXAMPLE}")
    try:
        start, end = read_time(times["start"]), read_time(times["end"])
    except ValueError as error:
        return ParseError(str(error), f"quiet {_QUIET_EXAMPLE}")
    if start == end:
        reason = "The start and the end of the quiet hours are the same."
        return ParseError(reason, f"quiet {_QUIET_EXAMPLE}")
    return Quiet(QuietHours(start, end))


def _no_digest(words: Sequence[str]) -> ParseError:
    """Return the error for words without a frequency, with the nearest command."""
    near = {word: get_close_matches(word.lower(), _FREQUENCIES, 1, 0.6) for word in words}
    frequency = next((found[0] for found in near.values() if found), DAILY)
    topic = next((word for word, found in near.items() if not found and _is_pattern(word)), "")
    nearest = " ".join(filter(None, ["digest", topic, _EXAMPLES[frequency]]))
    return ParseError(f"Enter how often: {', '.join(_EXAMPLES.values())}.", nearest)


def _schedule(words: str) -> Schedule | None:
    """Return the schedule that words describe, or None for `off`.

    Raises:
        _ScheduleError: the words do not describe a schedule.
    """
    frequency, _, at = " ".join(words.lower().split()).partition(" ")
    if frequency not in _FREQUENCIES:
        near = get_close_matches(frequency, _FREQUENCIES, 1, 0.5) or [DAILY]
        allowed = ", ".join(_EXAMPLES.values())
        reason = f"“{cut(words, 80)}” is not a digest schedule. Use one of: {allowed}."
        raise _ScheduleError(reason, _EXAMPLES[near[0]])
    if frequency == DAILY:
        try:
            return Schedule(read_time(at.removeprefix("at ")))
        except ValueError as error:
            reason = str(error) if at else "Enter the time of day."
            raise _ScheduleError(reason, _EXAMPLES[DAILY]) from None
    if at:
        raise _ScheduleError(f"Only {DAILY} takes a time.", frequency)
    return Schedule() if frequency == HOURLY else None


def _is_pattern(word: str) -> bool:
    try:
        normal_pattern(word)
    except ValueError:
        return False
    return True


def _mute(arguments: str) -> NotifyRequest:
    match = _MUTE.fullmatch(arguments)
    if match is None:
        return ParseError("Enter a duration, such as 30m, 2h, 3d or 1w.", "mute 2h")
    duration = timedelta(**{_UNITS[match["unit"][0].lower()]: int(match["number"])})
    if not timedelta(0) < duration <= LONGEST_MUTE:
        return ParseError("Mute for at least one minute and at most 30 days.", "mute 2h")
    topic = match["before"] or match["after"]
    return Mute(duration, normal_pattern(topic) if topic else None)


def _unescaped(text: str) -> str:
    """Return text as it was typed: Slack escapes three characters.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
