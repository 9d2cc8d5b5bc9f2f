"""Lanes in memory: the waiting deliveries of one destination, and when the next may begin."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bolt_app.notifications.delivery.pacing import RateLimit
from bolt_app.notifications.delivery.turn_order import Position, TurnOrder
from bolt_app.notifications.delivery.turns import Source, Turns
from bolt_app.notifications.delivery.work import QueuedDelivery, Work

# Most lanes defer no key, and share one object.
_NONE_DEFERRED: Mapping[str, float] = {}
# Sorts before every row.
_START = (float("-inf"), 0)
# A lane with more sources offers the next of them only: each lane that opens costs the same.
MOST_OFFERED = 16


@dataclass(frozen=True, slots=True)
class FirstDelivery:
    """A delivery that was attempted before, and goes first in its lane.

    Attributes:
        rows: the rows that it absorbs, then its own.
    """

    rows: tuple[QueuedDelivery, ...]
    due: float
    in_doubt: bool

    @property
    def row(self) -> QueuedDelivery:
        """The delivery itself."""
        return self.rows[-1]


class SourceQueue:
    """The most urgent rows of one source in one lane.

    Attributes:
        rows: sorted by urgency, then id.
        horizon: rows after this position are only in the database; None: all are in memory.
        is_wanted: whether a page was requested and is not loaded yet.
        offered: the row that was offered to the workspace as the head.
        position, due: as `turn_order.Ordered` has them, in the order of a lane with many sources.
    """

    __slots__ = (
        "_missed",
        "due",
        "horizon",
        "is_wanted",
        "lane",
        "offered",
        "position",
        "rows",
        "source",
    )

    def __init__(self, lane: LaneQueue, source: Source) -> None:
        self.lane = lane
        self.source = source
        self.rows: list[QueuedDelivery] = []
        self.horizon: tuple[float, int] | None = None
        self.is_wanted = False
        self.offered: QueuedDelivery | None = None
        self.position: Position | None = None
        self.due: float | None = None
        self._missed = False

    @property
    def turn(self) -> int:
        """The last turn of the source."""
        return self.source.turn

    @property
    def head(self) -> QueuedDelivery | None:
        """The most urgent row whose key is not deferred."""
        if not self.lane.deferred:
            return self.rows[0] if self.rows else None
        return next((row for row in self.rows if not self.lane.defers(row)), None)

    @property
    def first(self) -> tuple[float, int] | None:
        """The urgency and id of the head."""
        head = self.head
        return None if head is None else head[:2]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is waiting, in memory or in the database, or being read."""
        return not self.rows and self.horizon is None and not self.is_wanted

    def put(self, row: QueuedDelivery, page: int, now: float) -> None:
        """Add or replace a row, unless it is beyond the horizon; keep at most `page` rows."""
        self.remove(row.id)
        if self.horizon is not None and row[:2] > self.horizon:
            self._missed = True
            return
        self.restore(row, now)
        if len(self.rows) > page:
            self.rows.pop()
            self.horizon = self.rows[-1][:2]

    def restore(self, row: QueuedDelivery, now: float) -> None:
        """Add a row that is within the horizon."""
        # All rows share one string object.
        name = self.source.name
        insort(self.rows, row if row.source is name else row._replace(source=name))
        if self.lane.order is not None:
            self.lane.order.place(self, now)

    def load(
        self, rows: Iterable[QueuedDelivery], page: int, now: float, *, has_more: bool
    ) -> None:
        """Replace the rows by the first ones in the database."""
        # A row that was put while the page was being read may be missing from it.
        has_more = has_more or self._missed
        self.is_wanted = False
        self.horizon = None
        for row in rows:
            self.put(row, page, now)
        self._missed = False
        if has_more:
            self.horizon = self.rows[-1][:2] if self.rows else _START

    def remove(self, delivery_id: int) -> None:
        """Remove a row, if present."""
        for index, row in enumerate(self.rows):
            if row.id == delivery_id:
                del self.rows[index]
                return

    def take(self) -> tuple[QueuedDelivery, ...]:
        """Remove and return the next delivery, after the earlier ones that it absorbs."""
        rows = (row for row in self.rows if not self.lane.defers(row))
        head = next(row for row in rows if not self._is_superseded(row))
        if head.key is None:
            self.rows.remove(head)
            return (head,)
        taken = []
        # Earlier rows with its key go first, at the urgency of this one.
        for row in self._with_key(head.key):
            taken.append(row)
            if not self._is_superseded(row):
                break
        self.rows = [row for row in self.rows if row not in taken]
        return tuple(taken)

    def _is_superseded(self, row: QueuedDelivery) -> bool:
        """Return whether a later, more urgent update with the same key covers this one."""
        if row.key is None or not row.is_update:
            return False
        for later in self._with_key(row.key, after=row.id):
            if not later.is_update:
                return False
            if later.rank < row.rank and later.urgency <= row.urgency:
                return True
        return False

    def _with_key(self, key: str, *, after: int = 0) -> list[QueuedDelivery]:
        same = (row for row in self.rows if row.key == key and row.id > after)
        return sorted(same, key=lambda row: row.id)


class LaneQueue:
    """One destination: nothing overtakes a delivery in progress, in doubt or to be retried.

    Attributes:
        firsts: deliveries attempted before, by id.
        deferred: the keys whose deliveries wait, and until when; others go on.
        work: in progress.
        taken: rows of the work: the absorbed ones, then the delivery itself.
        waits_until: nothing begins before, whatever the pace.
        paced: the moment of the lane's rate limit.
        alarm: the time for which the workspace has a timer.
        is_sought: whether it is queued for a LOOK.
        queues: those with rows, by source.
        order: of the sources, if there are many.
        is_in_rotation: whether the workspace checks from time to time which of them is next.
    """

    __slots__ = (
        "alarm",
        "deferred",
        "firsts",
        "id",
        "is_in_rotation",
        "is_sought",
        "order",
        "paced",
        "queues",
        "taken",
        "turns",
        "waits_until",
        "work",
    )

    def __init__(self, lane_id: int, turns: Turns) -> None:
        self.id = lane_id
        self.turns = turns
        self.queues: dict[str, SourceQueue] = {}
        self.order: TurnOrder[SourceQueue] | None = None
        self.is_in_rotation = False
        self.firsts: tuple[FirstDelivery, ...] = ()
        self.deferred: Mapping[str, float] = _NONE_DEFERRED
        self.work: Work | None = None
        self.taken: tuple[QueuedDelivery, ...] = ()
        self.waits_until = 0.0
        self.paced = 0.0
        self.alarm: float | None = None
        self.is_sought = False

    def queue(self, source: str, now: float) -> SourceQueue:
        """Return the queue of a source."""
        queue = self.queues.get(source)
        if queue is None:
            queue = self.queues[source] = SourceQueue(self, self.turns.source(source))
            if self.order is None and len(self.queues) > MOST_OFFERED:
                self.order = TurnOrder()
                for member in self.queues.values():
                    self.order.place(member, now)
        return queue

    def drop_if_empty(self, source: str) -> None:
        """Forget the queue of a source if it has no rows."""
        queue = self.queues.get(source)
        if queue is not None and queue.is_empty:
            del self.queues[source]

    def offer(self, now: float) -> None:
        """Offer the deliveries that may go next to the workspace."""
        for queue in self._next_queues(now):
            head = self.head(queue)
            if head is not None:
                self.turns.offer(queue, head, now)

    def _next_queues(self, now: float) -> list[SourceQueue]:
        if self.firsts:
            return [self.queue(self.firsts[0].row.source, now)]
        if self.order is None:
            return list(self.queues.values())
        queue = self.order.best(now)
        return [] if queue is None else [queue]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in progress or waiting, in memory or in the database."""
        return self.work is None and not self.firsts and not self.queues

    def opens_at(self, pace: RateLimit) -> float:
        """Return when the next work may begin; a LOOK is not paced."""
        if not self.firsts:
            return max(self.waits_until, pace.open_at(self.paced))
        first = self.firsts[0]
        if first.in_doubt:
            return first.due
        return max(first.due, self.waits_until, pace.open_at(self.paced))

    def head(self, queue: SourceQueue) -> QueuedDelivery | None:
        """Return the row of a source that may go next, or None."""
        if self.work is not None:
            return None
        if self.firsts:
            first = self.firsts[0]
            is_next = first.row.source == queue.source.name and not first.in_doubt
            return first.row if is_next else None
        return queue.head

    def defer(self, row: QueuedDelivery, until: float, now: float) -> None:
        """Return a delivery to its queue; those with its key wait until a time."""
        if row.key is not None:
            self.deferred = {**self.deferred, row.key: until}
        self.queue(row.source, now).restore(row, now)

    def defers(self, row: QueuedDelivery) -> bool:
        """Return whether a delivery waits, while others of the lane go on."""
        return row.key in self.deferred

    def end_deferrals(self, now: float) -> None:
        """Let the deliveries of keys go on whose time has come."""
        waiting = {key: until for key, until in self.deferred.items() if until > now}
        if len(waiting) == len(self.deferred):
            return
        self.deferred = waiting or _NONE_DEFERRED
        if self.order is not None:
            for queue in self.queues.values():
                self.order.place(queue, now)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the next work is a LOOK for an attempt in doubt."""
        return self.work is None and bool(self.firsts) and self.firsts[0].in_doubt

    def has_first(self, delivery_id: int) -> bool:
        """Return whether the delivery was attempted before and is waiting."""
        return any(first.row.id == delivery_id for first in self.firsts)

    def has_attempted(self, delivery_id: int) -> bool:
        """Return whether the delivery is in progress or was attempted before."""
        return self.has_first(delivery_id) or any(row.id == delivery_id for row in self.taken)

    def put_first(self, first: FirstDelivery) -> None:
        """Add or replace a delivery that was attempted before."""
        self.remove(first.row)
        self.firsts = tuple(sorted((*self.firsts, first), key=lambda entry: entry.row.id))

    def take(self, queue: SourceQueue) -> tuple[QueuedDelivery, ...]:
        """Remove and return the next delivery of a queue, after the rows that it absorbs."""
        taken = self.take_first() if self.firsts else queue.take()
        self.drop_if_empty(queue.source.name)
        return taken

    def take_first(self) -> tuple[QueuedDelivery, ...]:
        """Remove and return the first delivery, after the rows that it absorbs."""
        first, *others = self.firsts
        self.firsts = tuple(others)
        return first.rows

    def remove(self, row: QueuedDelivery) -> None:
        """Remove a delivery that is not in progress."""
        if self.has_first(row.id):
            self.firsts = tuple(first for first in self.firsts if first.row.id != row.id)
        queue = self.queues.get(row.source)
        if queue is not None:
            queue.remove(row.id)
            self.drop_if_empty(row.source)

    def read_again(self) -> list[SourceQueue]:
        """Drop all deliveries, of which the database may have some; return their queues."""
        self.firsts = ()
        for queue in self.queues.values():
            queue.rows.clear()
            queue.horizon = _START
        return list(self.queues.values())
