"""Typed text in the format that Slack's client sends.

See https://docs.slack.dev/messaging/formatting-message-text#escaping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r"(?P<code>```.*?```|`[^`\n]*`)"
    r"|(?P<url>https?://[^\s<>|]*[^\s<>|.,;:!?)])"
    r"|(?<!\w)@(?P<person>\w[\w.-]*\w|\w)"
    r"|(?<!\w)#(?P<channel>[\w-]+)",
    re.DOTALL,
)
_BROADCASTS = frozenset({"here", "channel", "everyone"})


def to_slack_text(text: str, people: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """Typed text, escaped, with mentions and URLs in angle brackets.

    ``people`` and ``channels`` map names to ids; unknown names stay as typed.
    """

    def replacement(match: re.Match[str]) -> str:
        person, channel = match["person"], match["channel"]
        if match["url"] is not None:
            return f"<{match['url']}>"
        if person in _BROADCASTS:
            return f"<!{person}>"
        if person is not None and person.lower() in people:
            return f"<@{people[person.lower()]}>"
        if channel in channels:
            return f"<#{channels[channel]}|{channel}>"
        return match[0]

    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _TOKEN.sub(replacement, escaped)


def split_command(text: str) -> tuple[str, str] | None:
    """A slash command and its text; None for any other text."""
    command, _, rest = text.partition(" ")
    if re.fullmatch(r"/[^\s/]+", command) is None:
        return None
    return command, rest.strip()
