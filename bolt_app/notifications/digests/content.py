"""A digest: what several notifications say, as the content of one.

It is grouped by topic, what is worst first; each group says how many of which severity there are,
and names as many as there is room for in one message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bolt_app.blockkit.mrkdwn import SECTION_LENGTH, escape, link, moment
from bolt_app.blockkit.text import counted
from bolt_app.notifications.content.meaning import link_of
from bolt_app.notifications.content.message import SIGNS
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.subscriptions.filters import SEVERITIES

Block = dict[str, Any]

# In one message, where Slack takes 50 blocks and some 12,000 characters in all of them.
MOST_GROUPS = 10
MOST_OF_GROUP = 10
ROOM = 9000
LONGEST_LINK = 300
# Room in a section for what follows its lines.
_TAIL = 60
_TO_YOU = "Sent to you"
# Info stands for what says nothing of its severity, and success is no worse.
_WORST_FIRST = {severity: -place for place, severity in enumerate(SEVERITIES)}


@dataclass(frozen=True)
class Entry:
    """A notification that a digest tells of; without a topic it was sent by name."""

    notification_id: str
    topic: str | None
    severity: str
    at: datetime


def digest_content(
    entries: Sequence[Entry],
    look: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]],
    public_url: str,
) -> dict[str, Any]:
    """Return the content of a digest.

    Args:
        entries: what it tells of, in the order of acceptance.
        look: returns the contents of notifications by their ids, asked for those that are named.
        public_url: where the pages of notifications are, to which leads what has no link.
    """
    groups = _groups(entries)
    named = [one for group in groups[:MOST_GROUPS] for one in group[:MOST_OF_GROUP]]
    contents = look([one.notification_id for one in named])
    lines = {one.notification_id: _line(one, contents, public_url) for one in named}
    return {
        "title": f"Digest: {counted(len(entries), 'notification')}",
        "text": "\n".join(_counted(group) for group in groups[:MOST_GROUPS]),
        "blocks": [*_blocks(groups, lines), _since(entries)],
    }


def _groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the entries by topic: the worst first, then the latest."""
    by_topic: dict[str | None, list[Entry]] = {}
    for one in reversed(entries):
        by_topic.setdefault(one.topic, []).append(one)
    groups = [sorted(group, key=_badness) for group in by_topic.values()]
    return sorted(groups, key=lambda group: (_badness(group[0]), group[0].topic or ""))


def _badness(entry: Entry) -> int:
    return _WORST_FIRST[entry.severity]


def _blocks(groups: Sequence[Sequence[Entry]], lines: Mapping[str, str]) -> Iterator[Block]:
    room, shown = ROOM, groups[:MOST_GROUPS]
    for number, group in enumerate(shown):
        # What one group leaves is shared by those after it.
        text = _section(group, lines, min(room // (len(shown) - number), SECTION_LENGTH))
        room -= len(text)
        yield {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    left = groups[MOST_GROUPS:]
    if left:
        number = sum(map(len, left))
        yield _small(f"… and {number} more about {counted(len(left), 'other topic')}")


def _section(group: Sequence[Entry], lines: Mapping[str, str], room: int) -> str:
    """Return a group as mrkdwn: how many there are, and lines for as many as there is room for."""
    text, named = _counted(group, bold=True), 0
    for one in group[:MOST_OF_GROUP]:
        line = "\n" + lines[one.notification_id]
        if len(text) + len(line) > room - _TAIL:
            break
        text, named = text + line, named + 1
    left = len(group) - named
    return f"{text}\n… and {left} more" if left else text


def _counted(group: Sequence[Entry], *, bold: bool = False) -> str:
    topic = group[0].topic
    name = _TO_YOU if topic is None else escape(topic)
    counts = Counter(one.severity for one in group)
    kinds = "  ".join(f"{SIGNS[one]} {counts[one]}" for one in reversed(SEVERITIES) if counts[one])
    return f"{f'*{name}*' if bold else name}  {kinds}"


def _line(one: Entry, contents: Mapping[str, Mapping[str, Any]], public_url: str) -> str:
    content = contents[one.notification_id]
    url = link_of(content)
    if not url or len(url) > LONGEST_LINK:
        url = page_url(public_url, one.notification_id)
    return f"{SIGNS[one.severity]} {link(url, headline(content))}  {moment(one.at)}"


def _since(entries: Sequence[Entry]) -> Block:
    first = min(one.at for one in entries)
    return _small(f"Held since {moment(first)}. What is critical comes at once.")


def _small(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
