"""Parsing of the text after `/profile`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bolt_app.text_forms import visible

# With `should_escape` Slack writes a mention as <@U012AB3CD> or <@U012AB3CD|name>
# (https://docs.slack.dev/interactivity/implementing-slash-commands).
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True)
class ShowOwn:
    """Show the person's own profile."""


@dataclass(frozen=True)
class ShowOther:
    """Show the public part of another person's profile."""

    user_id: str


@dataclass(frozen=True)
class Refresh:
    """Read the profile from Slack again."""


@dataclass(frozen=True)
class Unlink:
    """Unlink the profile."""


@dataclass(frozen=True)
class ProfileHelp:
    """List the commands; `unknown` is text that is not a command."""

    unknown: str = field(default="", repr=False)


ProfileRequest = ShowOwn | ShowOther | Refresh | Unlink | ProfileHelp


def parse_profile_command(text: str) -> ProfileRequest:
    """Return the request in the text after `/profile`; never raises."""
    words = visible(text)
    mention = _MENTION.fullmatch(words)
    if mention is not None:
        return ShowOther(mention[1])
    match words.lower():
        case "":
            return ShowOwn()
        case "refresh":
            return Refresh()
        case "unlink":
            return Unlink()
        case "help":
            return ProfileHelp()
    return ProfileHelp(unknown=words)
