"""The scheduler: decides what an owner of workspaces begins next, and when.

It has no clock and no I/O. All times are seconds on the owner's monotonic clock; the store converts
them from the wall clock when it reads rows. One task calls it; nothing in it blocks.

How an owner uses it:

1. When a shard is gained: `add_workspace`; then `note_attempt` for lanes that were posted to in
   the last seconds, also by deliveries that have ended; `put_first` for rows that are `sending`
   (in doubt) or wait for a retry; `load` for pages of waiting rows, the most urgent lanes first.
   Work may be taken meanwhile.
2. In a loop: `step(now)` returns work, `wanted()` returns pages to read, and `next_at()` says when
   to call `step` again if nothing is reported until then.
3. Each work ends with exactly one of `finish`, `retry`, `defer`, `doubt` and `give_back`.
4. The change feed is applied with `put` (waiting rows), `put_first` (retries), `remove` (rows that
   no longer wait), `pause` and `resume`.
5. When a shard is lost: `drop_workspace`, at once. Work in progress is ignored when it ends.

Memory is bounded: each source has at most `DeliveryLimits.page` rows of a lane in memory. The
scheduler drops further rows, remembers that the database has more, and requests them through
`wanted`. A full garbage collection visits every row: an owner calls `gc.freeze` after loading many,
and `gc.unfreeze` after dropping a workspace.

A wrong row does no harm. The transaction that begins a delivery checks that it is still `waiting`
in that lane and has not expired; if not, the work ends with `finish(work, now, attempted=False)`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable

from bolt_app.notifications.delivery.lanes import SourceQueue
from bolt_app.notifications.delivery.pacing import DeliveryLimits
from bolt_app.notifications.delivery.work import QueuedDelivery, WantedPage, Work
from bolt_app.notifications.delivery.workspace import WorkspaceSchedule


class Scheduler:
    """Decides what begins next, over all workspaces of one owner.

    Workspaces take turns. Within one, the order is effective rank, then sources in turn, then age.
    Nothing overtakes a delivery of its lane that is in progress, in doubt or waiting for its retry,
    and nothing with its key one that is deferred.
    Calls about workspaces that are not owned do nothing.
    """

    def __init__(self, limits: DeliveryLimits) -> None:
        """Create a scheduler without workspaces."""
        self._limits = limits
        self._workspaces: dict[str, WorkspaceSchedule] = {}
        self._ready: deque[WorkspaceSchedule] = deque()
        self._alarms: list[tuple[float, int, WorkspaceSchedule]] = []
        self._wanted: deque[tuple[WorkspaceSchedule, SourceQueue]] = deque()
        self._ticket = itertools.count()

    # Ownership.

    def add_workspace(
        self,
        team_id: str,
        now: float,
        *,
        used: int | None = None,
        paused_until: float = 0.0,
        lookups_until: float = 0.0,
    ) -> None:
        """Start to schedule a workspace, without burst: its last owner may have used it.

        Args:
            used: how much of the burst may have been used, if known.
            paused_until: stored pause after a 429 of chat.postMessage or a dead installation.
            lookups_until: stored pause after a 429 of a method that reads.
        """
        workspace = WorkspaceSchedule(team_id, self._limits, self._want, now)
        if used is not None:
            workspace.allow_burst(used, now)
        workspace.paused_until = paused_until
        workspace.lookups_until = lookups_until
        self._workspaces[team_id] = workspace

    def drop_workspace(self, team_id: str) -> None:
        """Remove a workspace at once; it can be added again later."""
        self._workspaces.pop(team_id, None)

    # Rows.

    def note_attempt(self, team_id: str, lane_id: int, at: float, now: float) -> None:
        """Note the last attempt of a lane by an earlier owner; its burst counts as used."""
        if workspace := self._workspaces.get(team_id):
            workspace.note_attempt(lane_id, at, now)
            self._schedule(workspace)

    def load(
        self,
        team_id: str,
        lane_id: int,
        source: str,
        rows: Iterable[QueuedDelivery],
        now: float,
        *,
        has_more: bool,
        is_name: bool = False,
    ) -> None:
        """Load a page: the first waiting rows of a source in a lane, in order.

        Args:
            has_more: whether the database has further waiting rows of this lane and source.
            is_name: whether the lane's address is a name, for a page without rows.
        """
        if workspace := self._workspaces.get(team_id):
            workspace.load(lane_id, source, rows, now, has_more=has_more, is_name=is_name)
            self._schedule(workspace)

    def put(self, team_id: str, rows: Iterable[QueuedDelivery], now: float) -> None:
        """Add or replace waiting rows, as the change feed reports them.

        An earlier row with the same key goes first, at the better rank, or is absorbed. Only a page
        of a lane is in memory: if further earlier rows with the key wait in the database, the
        transaction that begins a row lowers the stored urgency of some of them to its own instead.
        Then the work ends with `finish(work, now, attempted=False)`, and all of these are put.

        A row that has moved to another lane is added there; its copy in the old lane is dropped
        with `remove`, after RESOLVE, or when its begin is refused.

        Rows are put only after the pages of their workspace were loaded: the feed is read from the
        `seq` that was current before the first page on.
        """
        if workspace := self._workspaces.get(team_id):
            for row in rows:
                workspace.put(row, now)
            self._schedule(workspace)

    def put_first(
        self, team_id: str, row: QueuedDelivery, due: float, now: float, *, in_doubt: bool
    ) -> None:
        """Add or replace a delivery that was attempted before: it goes first in its lane.

        Args:
            due: when to look or try again. After a takeover: the time of acquisition plus the
                longest time a request can take.
            in_doubt: whether the row is `sending`: it is looked for (LOOK) before anything else.
        """
        if workspace := self._workspaces.get(team_id):
            workspace.put_first(row, due, now, in_doubt=in_doubt)
            self._schedule(workspace)

    def remove(self, team_id: str, row: QueuedDelivery, now: float) -> None:
        """Remove a delivery that no longer waits, or whose doubt another owner has ended.

        Ignored for work in progress, which must be ended as usual, and for unknown rows.
        """
        if workspace := self._workspaces.get(team_id):
            workspace.remove(row, now)
            self._schedule(workspace)

    def wanted(self, most: int = 64) -> list[WantedPage]:
        """Return pages to read now, the longest wanted first, each once.

        Answer each with `load`; after a failure with `load` without rows, with `has_more=True` and
        the page's `is_name`, which requests it again.
        """
        pages: list[WantedPage] = []
        while self._wanted and len(pages) < most:
            workspace, queue = self._wanted.popleft()
            if self._is_owned(workspace):
                lane, is_name = queue.lane, workspace.is_name(queue.lane)
                pages.append(WantedPage(workspace.team_id, lane.id, queue.source.name, is_name))
        return pages

    # Work.

    def step(self, now: float, most: int = 64) -> list[Work]:
        """Return the work to begin now; each counts as in progress from now on.

        Args:
            most: turns of workspaces; the others follow with the next step, which is due at once.
        """
        self._wake(now, most)
        works: list[Work] = []
        for _ in range(most):
            if not self._ready:
                break
            workspace = self._ready.popleft()
            workspace.is_ready = False
            if not self._is_owned(workspace):
                continue
            work = workspace.next_work(now)
            if work is None:
                self._schedule(workspace)
                continue
            works.append(work)
            self._make_ready(workspace)
        return works

    def next_at(self) -> float | None:
        """Return when `step` may have work if nothing is reported until then; None: never.

        A time in the past means at once.
        """
        if self._ready:
            return 0.0
        return self._alarms[0][0] if self._alarms else None

    def finish(self, work: Work, now: float, *, attempted: bool = True) -> None:
        """End work: the delivery is sent or ended, a name's rows have moved, a LOOK is done.

        After RESOLVE all rows of the lane are removed: the store has moved or ended them, and the
        change feed adds them to their new lane. Its pages are requested again, because others may
        have been put meanwhile.

        Args:
            attempted: whether a request that changes something was made, which counts against the
                lane's pace. Without it (also: the begin was refused) the workspace's pace gets its
                share back.
        """
        if workspace := self._workspaces.get(work.team_id):
            workspace.finish(work, now, attempted=attempted)
            self._schedule(workspace)

    def retry(self, work: Work, due: float, now: float, *, attempted: bool = True) -> None:
        """End work to be repeated at `due`; its lane waits, in order.

        A LOOK that finds no message ends like this: the delivery is posted next in its lane.
        """
        if workspace := self._workspaces.get(work.team_id):
            workspace.retry(work, due, now, attempted=attempted)
            self._schedule(workspace)

    def defer(self, work: Work, until: float, now: float, *, attempted: bool = True) -> None:
        """End a POST that changed nothing, because Slack limits its method and not new messages.

        It returns to its place in the lane. Deliveries with its key wait until then, others go on.
        """
        if workspace := self._workspaces.get(work.team_id):
            workspace.defer(work, until, now, attempted=attempted)
            self._schedule(workspace)

    def doubt(self, work: Work, due: float, now: float) -> None:
        """End a POST or LOOK with an unknown outcome: LOOK again at `due`."""
        if workspace := self._workspaces.get(work.team_id):
            workspace.doubt(work, due, now)
            self._schedule(workspace)

    def give_back(self, work: Work, due: float, now: float) -> None:
        """End work that made no request: nothing is charged, and it begins again at `due`.

        Its lane waits, so this also suits a begin whose commit was not confirmed: nothing overtakes
        or absorbs a row that may be `sending`. The transaction that begins it again must accept
        that state.
        """
        if workspace := self._workspaces.get(work.team_id):
            workspace.give_back(work, due, now)
            self._schedule(workspace)

    def look_again(self, team_id: str, delivery_id: int, due: float) -> None:
        """Plan a second look at a delivery; it blocks nothing."""
        if workspace := self._workspaces.get(team_id):
            workspace.look_again(delivery_id, due)
            self._schedule(workspace)

    # Pauses.

    def pause(self, team_id: str, until: float) -> None:
        """Begin no posts in a workspace before: 429 of chat.postMessage, dead installation."""
        if workspace := self._workspaces.get(team_id):
            workspace.paused_until = max(workspace.paused_until, until)

    def pause_lookups(self, team_id: str, until: float) -> None:
        """Begin no lookups in a workspace before: 429 of a method that reads, or as above."""
        if workspace := self._workspaces.get(team_id):
            workspace.lookups_until = max(workspace.lookups_until, until)

    def resume(self, team_id: str) -> None:
        """End the pauses of a workspace: Bellhop was installed again."""
        if workspace := self._workspaces.get(team_id):
            workspace.paused_until = workspace.lookups_until = 0.0
            self._schedule(workspace)

    def _is_owned(self, workspace: WorkspaceSchedule) -> bool:
        return self._workspaces.get(workspace.team_id) is workspace

    def _want(self, workspace: WorkspaceSchedule, queue: SourceQueue) -> None:
        self._wanted.append((workspace, queue))

    def _wake(self, now: float, most: int) -> None:
        while self._alarms and self._alarms[0][0] <= now and len(self._ready) < most:
            due, _, workspace = heapq.heappop(self._alarms)
            if due == workspace.alarm:
                workspace.alarm = float("inf")
                self._make_ready(workspace)

    def _make_ready(self, workspace: WorkspaceSchedule) -> None:
        if not workspace.is_ready:
            workspace.is_ready = True
            self._ready.append(workspace)

    def _schedule(self, workspace: WorkspaceSchedule) -> None:
        """Set an alarm for the workspace, unless there is an earlier one."""
        due = workspace.next_at()
        if due is not None and due < workspace.alarm:
            workspace.alarm = due
            heapq.heappush(self._alarms, (due, next(self._ticket), workspace))
