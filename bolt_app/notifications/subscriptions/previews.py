"""Previews: recent notifications to topics, and those that a subscription would have delivered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from itertools import islice
from typing import Any

from sqlalchemy import func, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.content import content_summary, stored_length
from bolt_app.db.models import Notification
from bolt_app.notifications.content.ids import id_of_moment
from bolt_app.notifications.content.meaning import severity_of
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.content.topics import matches
from bolt_app.notifications.subscriptions.filters import Filter, facts_of, parse_filter
from bolt_app.severity import Severity

LATELY = timedelta(days=7)
# The most notifications, and characters of their contents, that are read.
WINDOW = 500
MOST_CHARACTERS = 2**22
MOST_SHOWN = 3
NEAR_FIELD = 0.75
NEAR_TOPIC = 0.7
# Comparing two long names may take a millisecond: only short ones are compared, with the latest.
MOST_COMPARED = 300
LONGEST_COMPARED = 80


@dataclass(frozen=True)
class PreviewExample:
    """A notification that would have been delivered."""

    headline: str = field(repr=False)
    severity: Severity | None
    at: datetime


@dataclass(frozen=True)
class Preview:
    """Recent notifications that a subscription would have delivered, of those that may be shown.

    Attributes:
        sent: how many notifications were sent to the topics that the subscription names.
        wanted: how many of them pass its filter.
        examples: the latest of these.
        misspelled: fields of the filter that none of them has, each with a similar one.
    """

    sent: int
    wanted: int
    examples: Sequence[PreviewExample]
    misspelled: Mapping[str, str] = field(default_factory=dict)


class RecentNotifications:
    """Notifications to topics in the last days."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    @property
    def topics(self) -> list[str]:
        """Topics to offer: those of recent notifications, the latest first.

        The topics of subscriptions are left out: they may be patterns, or misspelled.
        """
        return list(dict.fromkeys(topic for row in self._rows for topic in row.topics.split()))

    def near_topic(self, topic: str) -> str | None:
        """Return a known topic similar to an unknown one; None if `topic` is known."""
        known = self.topics
        if topic in known or "*" in topic:
            return None
        return _most_similar(topic, known, NEAR_TOPIC)

    def preview(
        self, topic: str, filter_: str, may_see: Callable[[Sequence[str]], Collection[str]]
    ) -> Preview:
        """Return the preview of a subscription to a topic or pattern.

        Notifications that may not be shown are not counted: with a filter, a count would reveal
        their contents.

        Args:
            may_see: returns the ids, among those given, of notifications that may be shown.
        """
        named = [row for row in self._rows if _names(topic, row)]
        shown = may_see([row.id for row in named]) if named else ()
        seen = [row for row in named if row.id in shown]
        filter_read = parse_filter(filter_)
        facts = [facts_of(row.content) for row in seen]
        wanted = [row for row, known in zip(seen, facts, strict=True) if filter_read.accepts(known)]
        examples = [_example(row) for row in wanted[:MOST_SHOWN]]
        fields = dict.fromkeys(name for known in facts for name in known)
        return Preview(len(seen), len(wanted), examples, _misspelled(filter_read, fields))


class Previews:
    """Reads the notifications that were sent to topics in the last days."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def recent(self, team_id: str) -> RecentNotifications:
        """Return the recent notifications to topics of a workspace."""
        latest = (
            select(
                Notification.id,
                Notification.topics,
                content_summary(Notification.content).label("content"),
                Notification.created_at,
            )
            .where(
                Notification.team_id == team_id,
                Notification.topics.is_not(None),
                Notification.id >= id_of_moment(self._clock() - LATELY),
            )
            .order_by(Notification.id.desc())
            .limit(WINDOW)
            .subquery()
        )
        read = func.sum(stored_length(latest.c.content)).over(order_by=latest.c.id.desc())
        counted = select(latest, read.label("read")).subquery()
        columns = counted.c.id, counted.c.topics, counted.c.content, counted.c.created_at
        sent = (
            select(*columns).where(counted.c.read <= MOST_CHARACTERS).order_by(counted.c.id.desc())
        )
        with self._database.reading_connection() as connection:
            rows = connection.execute(sent).all()
        return RecentNotifications(rows)


def _misspelled(wanted: Filter, known: Collection[str]) -> Mapping[str, str]:
    names = [condition.name for condition in wanted.conditions if condition.name not in known]
    near = {name: _most_similar(name, known, NEAR_FIELD) for name in names}
    return {name: found for name, found in near.items() if found is not None}


def _most_similar(name: str, known: Iterable[str], cutoff: float) -> str | None:
    """Return the name most similar to an unknown one; None if none is similar."""
    if len(name) > LONGEST_COMPARED:
        return None
    latest = list(islice(known, MOST_COMPARED))
    return next(iter(get_close_matches(name, latest, 1, cutoff)), None)


def _names(pattern: str, row: Any) -> bool:
    return any(matches(pattern, topic) for topic in row.topics.split())


def _example(row: Any) -> PreviewExample:
    return PreviewExample(headline(row.content), severity_of(row.content), row.created_at)
