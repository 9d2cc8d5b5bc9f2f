"""The content of a digest: a list of notifications as one notification.

It is grouped by topic, the worst severity first. Each group has counts by severity, and lines for
as many notifications as fit in one message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bolt_app.blockkit.elements import Block
from bolt_app.blockkit.mrkdwn import SECTION_LENGTH, escape, link, moment
from bolt_app.blockkit.text import counted
from bolt_app.notifications.content.meaning import link_of
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.summaries import headline
from bolt_app.severity import SEVERITIES, SIGNS, Severity

# Limits of one message, in which Slack takes 50 blocks with some 12,000 characters in total.
MOST_GROUPS = 10
MOST_OF_GROUP = 10
ROOM = 9000
LONGEST_LINK = 300
# Room in a section for the text after its lines.
_TAIL = 60
_TO_YOU = "Sent to you"
# Notifications without severity count as info, the least severe.
_WORST_FIRST = {severity: -index for index, severity in enumerate(SEVERITIES)}


@dataclass(frozen=True)
class Entry:
    """A notification in a digest; without a topic it was sent directly."""

    notification_id: str
    topic: str | None
    severity: Severity
    at: datetime


def digest_content(
    entries: Sequence[Entry],
    find_contents: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]],
    public_url: str,
) -> dict[str, Any]:
    """Return the content of a digest.

    Args:
        entries: its notifications, in the order of acceptance.
        find_contents: returns contents by notification id; called for the notifications shown.
        public_url: base of notification pages, which are linked for notifications without a link.
    """
    groups = _groups(entries)
    listed = [entry for group in groups[:MOST_GROUPS] for entry in group[:MOST_OF_GROUP]]
    contents = find_contents([entry.notification_id for entry in listed])
    lines = {entry.notification_id: _line(entry, contents, public_url) for entry in listed}
    return {
        "title": f"Digest: {counted(len(entries), 'notification')}",
        "text": "\n".join(_counted(group) for group in groups[:MOST_GROUPS]),
        "blocks": [*_blocks(groups, lines), _since(entries)],
    }


def _groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the entries by topic: the worst first, then the latest."""
    by_topic: dict[str | None, list[Entry]] = {}
    for entry in reversed(entries):
        by_topic.setdefault(entry.topic, []).append(entry)
    groups = [sorted(group, key=_badness) for group in by_topic.values()]
    return sorted(groups, key=lambda group: (_badness(group[0]), group[0].topic or ""))


def _badness(entry: Entry) -> int:
    return _WORST_FIRST[entry.severity]


def _blocks(groups: Sequence[Sequence[Entry]], lines: Mapping[str, str]) -> Iterator[Block]:
    room, shown = ROOM, groups[:MOST_GROUPS]
    for number, group in enumerate(shown):
        # Later groups share the room that a group leaves.
        text = _section(group, lines, min(room // (len(shown) - number), SECTION_LENGTH))
        room -= len(text)
        yield {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    left = groups[MOST_GROUPS:]
    if left:
        number = sum(map(len, left))
        yield _small(f"… and {number} more about {counted(len(left), 'other topic')}")


def _section(group: Sequence[Entry], lines: Mapping[str, str], room: int) -> str:
    """Return a group as mrkdwn: its counts, and lines for as many entries as fit."""
    text, listed = _counted(group, bold=True), 0
    for entry in group[:MOST_OF_GROUP]:
        line = "\n" + lines[entry.notification_id]
        if len(text) + len(line) > room - _TAIL:
            break
        text, listed = text + line, listed + 1
    left = len(group) - listed
    return f"{text}\n… and {left} more" if left else text


def _counted(group: Sequence[Entry], *, bold: bool = False) -> str:
    topic = group[0].topic
    name = _TO_YOU if topic is None else escape(topic)
    counts = Counter(entry.severity for entry in group)
    kinds = "  ".join(f"{SIGNS[one]} {counts[one]}" for one in reversed(SEVERITIES) if counts[one])
    return f"{f'*{name}*' if bold else name}  {kinds}"


def _line(entry: Entry, contents: Mapping[str, Mapping[str, Any]], public_url: str) -> str:
    content = contents[entry.notification_id]
    url = link_of(content)
    if not url or len(url) > LONGEST_LINK:
        url = page_url(public_url, entry.notification_id)
    return f"{SIGNS[entry.severity]} {link(url, headline(content))}  {moment(entry.at)}"


def _since(entries: Sequence[Entry]) -> Block:
    first = min(entry.at for entry in entries)
    return _small(f"Held since {moment(first)}. Critical notifications are delivered immediately.")


def _small(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
