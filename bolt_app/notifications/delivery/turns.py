"""Turns: the next delivery of a workspace, by effective rank, then sources in turn, then age."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from bolt_app.notifications.delivery.turn_order import Position, TurnOrder
from bolt_app.notifications.delivery.work import QueuedDelivery

if TYPE_CHECKING:
    from bolt_app.notifications.delivery.lanes import SourceQueue

# Turns whose sources are remembered without deliveries.
MOST_REMEMBERED = 1000


class Source:
    """A source of deliveries: its last turn, and its rows at the head of open lanes.

    Attributes:
        entries: urgency, id and queue of these rows, the most urgent first.
    """

    __slots__ = ("__weakref__", "due", "entries", "name", "position", "turn")

    def __init__(self, name: str, turn: int) -> None:
        self.name = name
        self.turn = turn
        self.entries: list[tuple[float, int, int, SourceQueue]] = []
        self.position: Position | None = None
        self.due: float | None = None

    @property
    def first(self) -> tuple[float, int] | None:
        """The urgency and id of the most urgent row."""
        return self.entries[0][:2] if self.entries else None


class Turns:
    """Rows at the head of open lanes, by source.

    Entries of lanes that have closed, or have another head, are dropped when they are reached: the
    lane offers its head again when it opens.
    """

    def __init__(self, is_open: Callable[[SourceQueue, float], bool]) -> None:
        """Create it without rows.

        Args:
            is_open: whether a lane may begin its head now.
        """
        self._is_open = is_open
        # Those with deliveries: a source that waits in a closed lane must not lose its place.
        self._sources: WeakValueDictionary[str, Source] = WeakValueDictionary()
        self._latest: deque[Source] = deque(maxlen=MOST_REMEMBERED)
        self._order: TurnOrder[Source] = TurnOrder()
        self._ticket = itertools.count()
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._order)

    def source(self, name: str) -> Source:
        """Return a source; a new one is last in turn."""
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = Source(name, self._turn)
        return source

    def offer(self, queue: SourceQueue, row: QueuedDelivery, now: float) -> None:
        """Add the head of a queue whose lane is open."""
        if queue.offered is not row:
            queue.offered = row
            entry = (row.urgency, row.id, next(self._ticket), queue)
            heapq.heappush(queue.source.entries, entry)
            self._order.place(queue.source, now)

    def next(self, now: float) -> SourceQueue | None:
        """Remove and return the queue whose head is next, which ends its source's turn."""
        while (source := self._order.best(now)) is not None:
            urgency, delivery_id, _, queue = heapq.heappop(source.entries)
            row = (urgency, delivery_id)
            if queue.offered is not None and queue.offered[:2] == row:
                queue.offered = None
            head = queue.lane.head(queue)
            if head is not None and head[:2] == row and self._is_open(queue, now):
                self._turn += 1
                source.turn = self._turn
                self._latest.append(source)
                return queue
        return None
