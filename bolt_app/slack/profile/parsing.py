"""What somebody means by the words after `/profile`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bolt_app.text_forms import visible

# With `should_escape` Slack writes a mention as <@U012AB3CD> or <@U012AB3CD|name>
# (https://docs.slack.dev/interactivity/implementing-slash-commands).
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True)
class ShowOwn:
    """Show me my profile."""


@dataclass(frozen=True)
class ShowOther:
    """Show me the public part of somebody's profile."""

    user_id: str


@dataclass(frozen=True)
class Refresh:
    """Ask Slack anew."""


@dataclass(frozen=True)
class Unlink:
    """Forget me."""


@dataclass(frozen=True)
class ProfileHelp:
    """Say what can be asked; `unknown` is what was not understood."""

    unknown: str = ""


ProfileRequest = ShowOwn | ShowOther | Refresh | Unlink | ProfileHelp


def parse_profile_command(text: str) -> ProfileRequest:
    """Return what the words after `/profile` ask for; never raises."""
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
