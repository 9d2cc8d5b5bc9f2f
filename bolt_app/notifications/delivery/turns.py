"""Turns: the next delivery of a workspace, by effective rank, then sources in turn, then age."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from bolt_app.notifications.delivery.lanes import SourceQueue
from bolt_app.notifications.delivery.work import QueuedDelivery
from bolt_app.notifications.queue.rank import level_of

# Sources without rows whose last turn is known.
MOST_REMEMBERED = 1000
_Entry = tuple[float, int, SourceQueue]


class _Source:
    """The rows of a source at the head of their lanes, and its last turn."""

    __slots__ = ("entries", "turn")

    def __init__(self, turn: int) -> None:
        self.entries: list[_Entry] = []
        self.turn = turn


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
        self._sources: dict[str, _Source] = {}
        # The last turns of sources without rows here: a lane is closed between two messages, and a
        # source that waits in it must not lose its place.
        self._last_turns: dict[str, int] = {}
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._sources)

    def offer(self, queue: SourceQueue, row: QueuedDelivery) -> None:
        """Add the head of a queue whose lane is open."""
        if queue.offered is row:
            return
        queue.offered = row
        source = self._sources.get(queue.source)
        if source is None:
            # A new one is last in turn.
            turn = self._last_turns.pop(queue.source, self._turn)
            source = self._sources[queue.source] = _Source(turn)
        heapq.heappush(source.entries, (row.urgency, row.id, queue))

    def next(self, now: float) -> SourceQueue | None:
        """Remove and return the queue whose head is next, which ends its source's turn."""
        source = self._next_source(now)
        if source is None:
            return None
        queue = heapq.heappop(source.entries)[2]
        queue.offered = None
        self._turn += 1
        source.turn = self._turn
        return queue

    def _next_source(self, now: float) -> _Source | None:
        best, best_position, exhausted = None, None, []
        for name, source in self._sources.items():
            entry = self._peek(source.entries, now)
            if entry is None:
                exhausted.append(name)
                continue
            urgency, delivery_id, _ = entry
            position = (level_of(urgency, now), source.turn, urgency, delivery_id)
            if best_position is None or position < best_position:
                best, best_position = source, position
        for name in exhausted:
            self._last_turns[name] = self._sources.pop(name).turn
        while len(self._last_turns) > MOST_REMEMBERED:
            del self._last_turns[next(iter(self._last_turns))]
        return best

    def _peek(self, entries: list[_Entry], now: float) -> _Entry | None:
        while entries:
            urgency, delivery_id, queue = entries[0]
            head = queue.lane.head(queue)
            is_head = head is not None and head[:2] == (urgency, delivery_id)
            if is_head and self._is_open(queue, now):
                return entries[0]
            heapq.heappop(entries)
            if queue.offered is not None and queue.offered[:2] == (urgency, delivery_id):
                queue.offered = None
        return None
