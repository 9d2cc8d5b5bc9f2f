"""What somebody means by the words after `/notify`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from bolt_app.notifications.filters import parse_filter
from bolt_app.notifications.plain_text import cut
from bolt_app.notifications.requests import Mode
from bolt_app.notifications.topic_names import normal_pattern

COMMANDS = ("subscribe", "unsubscribe", "list", "mute", "unmute", "test", "help")
LONGEST_MUTE = timedelta(days=30)
# In Slack one speaks of the channel where the API says "new".
MODE_WORDS: dict[str, Mode] = {"channel": "new", "thread": "thread", "update": "update"}
_MODE = re.compile(r"(?:^|(?<=\s))mode\s*[=:]\s*(\S*)", re.IGNORECASE)
_MUTE = re.compile(
    r"(?:(?P<before>.*\S)\s+)??(?P<number>\d{1,5})\s*"
    r"(?P<unit>m|min|minutes?|h|hours?|d|days?|w|weeks?)(?:\s+(?P<after>\S.*))?",
    re.IGNORECASE | re.DOTALL,
)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Subscribe:
    """Bring what is sent to a topic here."""

    topic: str
    filter: str
    mode: Mode | None


@dataclass(frozen=True)
class Unsubscribe:
    """Bring it no more."""

    topic: str


@dataclass(frozen=True)
class ListHere:
    """Show what is subscribed here."""


@dataclass(frozen=True)
class Mute:
    """Bring nothing for a while; `topic` where that is meant of one subscription alone."""

    duration: timedelta
    topic: str | None = None


@dataclass(frozen=True)
class Unmute:
    """Bring it again."""

    topic: str | None = None


@dataclass(frozen=True)
class SendTest:
    """Send a notification here, to see one."""


@dataclass(frozen=True)
class Help:
    """Say what can be asked."""


@dataclass(frozen=True)
class Misunderstood:
    """It was none of these: `reason` in a sentence, and the nearest that would be one."""

    reason: str
    nearest: str = ""


NotifyRequest = Subscribe | Unsubscribe | ListHere | Mute | Unmute | SendTest | Help | Misunderstood


def parse_notify_command(text: str) -> NotifyRequest:
    """Return what the words after `/notify` ask for; never raises."""
    words = _unescaped(text).strip()
    if not words:
        return Help()
    first, *rest = words.split(maxsplit=1)
    command, arguments = first.lower(), rest[0].strip() if rest else ""
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 1, 0.6)
        nearest = f"{near[0]} {arguments}".strip() if near else ""
        return Misunderstood(f"I do not understand “{cut(first, 80)}”.", nearest)
    try:
        return _request(command, arguments)
    except ValueError as error:
        return Misunderstood(str(error))


def _request(command: str, arguments: str) -> NotifyRequest:
    """Return the request; raises ValueError with a sentence where the arguments make none."""
    match command:
        case "subscribe":
            return _subscribe(arguments)
        case "unsubscribe":
            if not arguments:
                return Misunderstood("Say which topic.", "unsubscribe deploys")
            return Unsubscribe(normal_pattern(arguments))
        case "mute":
            return _mute(arguments)
        case "unmute":
            return Unmute(normal_pattern(arguments) if arguments else None)
        case "list":
            return ListHere()
        case "test":
            return SendTest()
    return Help()


def _subscribe(arguments: str) -> NotifyRequest:
    if not arguments:
        return Misunderstood("Say which topic.", "subscribe deploys")
    topic, *rest = arguments.split(maxsplit=1)
    conditions, mode = rest[0] if rest else "", None
    asked = _MODE.search(conditions)
    if asked is not None:
        word = asked[1].lower()
        if word not in MODE_WORDS:
            near = get_close_matches(word, MODE_WORDS, 1, 0.5) or ["thread"]
            reason = f"“{cut(word, 80)}” is no mode: {', '.join(MODE_WORDS)}."
            nearest = f"{conditions[: asked.start()]}mode={near[0]}{conditions[asked.end() :]}"
            return Misunderstood(reason, f"subscribe {topic} {nearest}")
        mode = MODE_WORDS[word]
        conditions = conditions[: asked.start()] + conditions[asked.end() :]
    return Subscribe(normal_pattern(topic), str(parse_filter(conditions.strip())), mode)


def _mute(arguments: str) -> NotifyRequest:
    match = _MUTE.fullmatch(arguments)
    if match is None:
        return Misunderstood("Say for how long, as in 30m, 2h, 3d or 1w.", "mute 2h")
    duration = timedelta(**{_UNITS[match["unit"][0].lower()]: int(match["number"])})
    if not timedelta(0) < duration <= LONGEST_MUTE:
        return Misunderstood("Mute for a minute at least, and 30 days at most.", "mute 2h")
    topic = match["before"] or match["after"]
    return Mute(duration, normal_pattern(topic) if topic else None)


def _unescaped(text: str) -> str:
    """Return what was typed: Slack escapes three characters.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
