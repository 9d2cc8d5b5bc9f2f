"""The schedule of one workspace: its lanes, limits and pauses."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable

from bolt_app.notifications.delivery.lanes import FirstDelivery, LaneQueue, SourceQueue
from bolt_app.notifications.delivery.pacing import DeliveryLimits
from bolt_app.notifications.delivery.turns import Turns
from bolt_app.notifications.delivery.work import QueuedDelivery, Work, WorkKind

# Timers handled per call; the others follow with the next. A lane needs about two per delivery.
_MOST_TIMERS = 8


class WorkspaceSchedule:
    """Decides what begins next in one workspace.

    A lane that is busy, paced or waiting is in no queue; the end of its work or a timer opens it.

    Attributes:
        is_ready: whether it is in the scheduler's queue of workspaces that may have work now.
        alarm: when the scheduler checks it again.
    """

    def __init__(
        self,
        team_id: str,
        limits: DeliveryLimits,
        want: Callable[[WorkspaceSchedule, SourceQueue], None],
        now: float,
    ) -> None:
        """Create a workspace whose burst is used up.

        Args:
            want: called when a queue needs more rows.
        """
        self.team_id = team_id
        self.is_ready = False
        self.alarm = float("inf")
        self.paused_until = 0.0
        self.lookups_until = 0.0
        self._limits = limits
        self._want = want
        self._lanes: dict[int, LaneQueue] = {}
        self._posts = Turns(self._is_open)
        self._names = Turns(self._is_open)
        # Open lanes with many sources.
        self._rotation: deque[LaneQueue] = deque()
        self._looks: list[tuple[float, int, LaneQueue]] = []
        self._second_looks: list[tuple[float, int]] = []
        self._timers: list[tuple[float, int, LaneQueue]] = []
        self._ticket = itertools.count()
        self._paced = limits.workspace.used_up(now) - limits.workspace.interval
        self._in_flight = 0
        self._resolving: Work | None = None
        self._looking_again: Work | None = None

    def allow_burst(self, used: int, now: float) -> None:
        """Allow the part of the burst that was not used."""
        limit = self._limits.workspace
        self._paced = now + limit.interval * min(used, limit.burst - 1)

    # Rows.

    def note_attempt(self, lane_id: int, at: float, now: float) -> None:
        """Note a lane's last attempt; its burst counts as used."""
        lane = self._lane(lane_id, is_name=False)
        lane.paced = max(lane.paced, self._limits.lane.used_up(at))
        self._open(lane, now)

    def load(
        self,
        lane_id: int,
        source: str,
        rows: Iterable[QueuedDelivery],
        now: float,
        *,
        has_more: bool,
        is_name: bool,
    ) -> None:
        """Take the first rows of a source in a lane."""
        rows = list(rows)
        lane = self._lane(lane_id, is_name=rows[0].is_name if rows else is_name)
        queue = lane.queue(source, now)
        fresh = (row for row in rows if not lane.has_attempted(row.id))
        queue.load(fresh, self._limits.page, now, has_more=has_more)
        self._refill(queue)
        lane.drop_if_empty(source)
        self._open(lane, now)

    def put(self, row: QueuedDelivery, now: float) -> None:
        """Add or replace a waiting row."""
        lane = self._lane(row.lane_id, is_name=row.is_name)
        if not lane.has_first(row.id):
            lane.queue(row.source, now).put(row, self._limits.page, now)
        self._open(lane, now)

    def put_first(self, row: QueuedDelivery, due: float, now: float, *, in_doubt: bool) -> None:
        """Add or replace a delivery that was attempted before."""
        lane = self._lane(row.lane_id, is_name=row.is_name)
        if lane.work is None or lane.work.delivery_id != row.id:
            lane.put_first(FirstDelivery((row,), due, in_doubt))
        self._open(lane, now)

    def remove(self, row: QueuedDelivery, now: float) -> None:
        """Remove a delivery that is not in progress."""
        lane = self._lanes.get(row.lane_id)
        if lane is None:
            return
        lane.remove(row)
        if queue := lane.queues.get(row.source):
            self._refill(queue)
        self._open(lane, now)

    def look_again(self, delivery_id: int, due: float) -> None:
        """Plan a second look."""
        heapq.heappush(self._second_looks, (due, delivery_id))

    # Work.

    def next_at(self) -> float | None:
        """Return when there may be work if nothing else happens; None: never."""
        times = []
        has_slot = self._in_flight < self._limits.in_flight
        if self._timers:
            times.append(self._timers[0][0])
        if self._posts and has_slot:
            times.append(max(self.paused_until, self._limits.workspace.open_at(self._paced)))
        if (self._looks and has_slot) or (self._names and self._resolving is None):
            times.append(self.lookups_until)
        if self._second_looks and self._looking_again is None:
            times.append(max(self.lookups_until, self._second_looks[0][0]))
        return min(times, default=None)

    def next_work(self, now: float) -> Work | None:
        """Return the next work, which is in progress from now on."""
        for _ in range(_MOST_TIMERS):
            if not self._timers or self._timers[0][0] > now:
                break
            lane = heapq.heappop(self._timers)[2]
            lane.alarm = None
            self._open(lane, now)
        return self._next_lookup(now) or self._next_post(now)

    def _next_lookup(self, now: float) -> Work | None:
        if now < self.lookups_until:
            return None
        return self._next_look(now) or self._next_resolve(now) or self._next_second_look(now)

    def _next_look(self, now: float) -> Work | None:
        while self._looks and self._in_flight < self._limits.in_flight:
            lane = heapq.heappop(self._looks)[2]
            lane.is_sought = False
            if lane.is_in_doubt and lane.opens_at(self._limits.lane) <= now:
                return self._begin(WorkKind.LOOK, lane, lane.take_first())
        return None

    def _next_resolve(self, now: float) -> Work | None:
        queue = None if self._resolving else self._names.next(now)
        if queue is None:
            return None
        lane = queue.lane
        head = lane.head(queue)
        assert head is not None  # noqa: S101 - `next` returns queues with a head
        work = Work(WorkKind.RESOLVE, self.team_id, lane.id, head.id)
        lane.work = self._resolving = work
        return work

    def _next_second_look(self, now: float) -> Work | None:
        if self._looking_again or not self._second_looks or self._second_looks[0][0] > now:
            return None
        _, delivery_id = heapq.heappop(self._second_looks)
        work = Work(WorkKind.SECOND_LOOK, self.team_id, 0, delivery_id)
        self._looking_again = work
        return work

    def _next_post(self, now: float) -> Work | None:
        pace = self._limits.workspace
        if now < max(self.paused_until, pace.open_at(self._paced)):
            return None
        if self._in_flight >= self._limits.in_flight:
            return None
        self._rotate(now)
        queue = self._posts.next(now)
        if queue is None:
            return None
        self._paced = pace.spend(self._paced, now)
        taken = queue.lane.take(queue)
        self._refill(queue)
        return self._begin(WorkKind.POST, queue.lane, taken)

    def _rotate(self, now: float) -> None:
        """Let one lane with many sources offer the next of them, if that is another one by now."""
        if self._rotation:
            lane = self._rotation.popleft()
            lane.is_in_rotation = False
            self._open(lane, now)

    def _begin(self, kind: WorkKind, lane: LaneQueue, taken: tuple[QueuedDelivery, ...]) -> Work:
        *earlier, row = taken
        absorbed = tuple(delivery.id for delivery in earlier)
        work = Work(kind, self.team_id, lane.id, row.id, absorbed)
        lane.work, lane.taken = work, taken
        self._in_flight += 1
        return work

    # The end of work.

    def finish(self, work: Work, now: float, *, attempted: bool) -> None:
        """End work that is complete."""
        ended = self._end(work, now, attempted=attempted)
        if ended is None:
            return
        lane, taken = ended
        if work.kind is WorkKind.RESOLVE:
            for queue in lane.read_again():
                self._refill(queue)
        if not attempted:
            # If its begin was refused, it absorbed nothing.
            for row in taken[:-1]:
                lane.queue(row.source, now).restore(row, now)
        self._open(lane, now)

    def retry(self, work: Work, due: float, now: float, *, attempted: bool) -> None:
        """End work to be repeated later; a LOOK is followed by a POST."""
        self._postpone(work, due, now, attempted=attempted, in_doubt=False)

    def defer(self, work: Work, until: float, now: float, *, attempted: bool) -> None:
        """End an attempt that changed nothing; the deliveries of its key wait until a time."""
        ended = self._end(work, now, attempted=attempted)
        if ended is None:
            return
        lane, taken = ended
        # The rows that it absorbed have ended.
        row = taken[-1]
        lane.defer(row, until, now)
        self._refill(lane.queue(row.source, now))
        heapq.heappush(self._timers, (until, next(self._ticket), lane))
        self._open(lane, now)

    def doubt(self, work: Work, due: float, now: float) -> None:
        """End an attempt that may have posted."""
        self._postpone(work, due, now, attempted=True, in_doubt=True)

    def give_back(self, work: Work, due: float, now: float) -> None:
        """End work that was not begun, or whose begin was not confirmed."""
        in_doubt = work.kind is WorkKind.LOOK
        self._postpone(work, due, now, attempted=False, in_doubt=in_doubt)

    def _postpone(
        self, work: Work, due: float, now: float, *, attempted: bool, in_doubt: bool
    ) -> None:
        if work is self._looking_again:
            self.look_again(work.delivery_id, due)
        ended = self._end(work, now, attempted=attempted)
        if ended is None:
            return
        lane, taken = ended
        if taken:
            # After an attempt the rows that it absorbed have ended.
            rows = taken[-1:] if attempted else taken
            lane.put_first(FirstDelivery(rows, due, in_doubt))
        else:
            lane.waits_until = due
        self._open(lane, now)

    def _end(
        self, work: Work, now: float, *, attempted: bool
    ) -> tuple[LaneQueue, tuple[QueuedDelivery, ...]] | None:
        """End work once; return its lane and rows, if it has a lane."""
        if work is self._looking_again:
            self._looking_again = None
            return None
        lane = self._lanes.get(work.lane_id)
        if lane is None or lane.work is not work:
            return None
        taken, lane.work, lane.taken = lane.taken, None, ()
        if work is self._resolving:
            self._resolving = None
            return lane, taken
        self._in_flight -= 1
        if work.kind is WorkKind.POST:
            self._charge(lane, now, attempted=attempted)
        return lane, taken

    def _charge(self, lane: LaneQueue, now: float, *, attempted: bool) -> None:
        if attempted:
            # Counted from the end of a request, so that two never reach Slack closer together.
            lane.paced = self._limits.lane.spend(lane.paced, now)
        else:
            self._paced -= self._limits.workspace.interval

    # Lanes.

    def is_name(self, lane: LaneQueue) -> bool:
        """Return whether a lane's address is a name."""
        return lane.turns is self._names

    def _lane(self, lane_id: int, *, is_name: bool) -> LaneQueue:
        lane = self._lanes.get(lane_id)
        if lane is None:
            turns = self._names if is_name else self._posts
            lane = self._lanes[lane_id] = LaneQueue(lane_id, turns)
        return lane

    def _refill(self, queue: SourceQueue) -> None:
        if queue.horizon is None or queue.is_wanted or queue.head is not None:
            return
        # Deferred rows alone could fill a page.
        if len(queue.rows) < self._limits.page:
            queue.is_wanted = True
            self._want(self, queue)

    def _is_open(self, queue: SourceQueue, now: float) -> bool:
        return queue.lane.opens_at(self._limits.lane) <= now

    def _open(self, lane: LaneQueue, now: float) -> None:
        """Offer the next deliveries of a lane, or set a timer for when they may go."""
        if lane.work is not None or self._lanes.get(lane.id) is not lane:
            return
        if lane.is_empty:
            self._forget_when_paced(lane, now)
            return
        lane.end_deferrals(now)
        opens_at = lane.opens_at(self._limits.lane)
        if opens_at > now:
            self._set_timer(lane, opens_at)
        elif lane.is_in_doubt:
            self._seek(lane)
        else:
            self._offer(lane, now)

    def _seek(self, lane: LaneQueue) -> None:
        if not lane.is_sought:
            lane.is_sought = True
            entry = (lane.firsts[0].row.urgency, next(self._ticket), lane)
            heapq.heappush(self._looks, entry)

    def _offer(self, lane: LaneQueue, now: float) -> None:
        lane.offer(now)
        if lane.order is not None and not lane.is_in_rotation:
            lane.is_in_rotation = True
            self._rotation.append(lane)

    def _forget_when_paced(self, lane: LaneQueue, now: float) -> None:
        until = max(lane.paced, lane.waits_until)
        if until > now:
            self._set_timer(lane, until)
        else:
            del self._lanes[lane.id]

    def _set_timer(self, lane: LaneQueue, due: float) -> None:
        if lane.alarm != due:
            lane.alarm = due
            heapq.heappush(self._timers, (due, next(self._ticket), lane))
