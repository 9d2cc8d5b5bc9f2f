"""The scheduler: decides what an owner of workspaces begins next, and when to look again.

It has no clock and no I/O. All times are seconds on the owner's monotonic clock; the store converts
them from the wall clock when it reads rows. One task calls it; nothing in it blocks.

How an owner uses it:

1. `add_workspace` when a shard is gained, then `note_attempt` for lanes that were posted to in the
   last seconds, `put_first` for rows that are `sending` (in doubt) or wait for their retry, and
   `load` for pages of waiting rows, the most urgent lanes first. Work may be taken in between.
2. In a loop: `step(now)` returns work; `wanted()` returns pages to read; `next_at()` says when to
   call `step` again if nothing is reported until then.
3. Each work ends with exactly one of `finish`, `retry`, `doubt` or `give_back`.
4. The change feed is applied with `put` (waiting rows), `put_first` (retries), `remove` (rows that
   no longer wait), `pause` and `resume`.
5. `drop_workspace` as soon as a shard is lost. Work that is still under way is ignored when it ends.

Memory is bounded: each source has at most `page` rows of a lane in memory. The scheduler drops
what is beyond, knows that the database has more, and asks for it through `wanted()`.

A wrong row does no harm. The transaction that begins a delivery must check that it is still
`waiting` in that lane; if not, the work ends with `finish(work, now, attempted=False)`.
"""

from __future__ import annotations

from collections.abc import Iterable

from bolt_app.notifications.delivery.pacing import Limits
from bolt_app.notifications.delivery.work import QueuedDelivery, WantedPage, Work


class Scheduler:
    """Decides what begins next, over all workspaces of one owner.

    Workspaces take turns. Inside one the order is effective rank, then sources in turn, then
    oldest first. Nothing overtakes a delivery of its lane that is under way, in doubt or waiting
    for its retry.
    """

    def __init__(self, limits: Limits) -> None:
        """Create a scheduler without workspaces."""
        raise NotImplementedError

    def add_workspace(
        self, team_id: str, now: float, *, paused_until: float = 0.0, lookups_until: float = 0.0
    ) -> None:
        """Begin to schedule a workspace, without burst: its last owner may have used it.

        Args:
            paused_until: stored pause after a 429 of chat.postMessage or a dead installation.
            lookups_until: stored pause after a 429 of a method that reads.
        """
        raise NotImplementedError

    def drop_workspace(self, team_id: str) -> None:
        """Forget a workspace at once; it can be added again later."""
        raise NotImplementedError

    def note_attempt(self, team_id: str, lane_id: int, at: float, now: float) -> None:
        """Note the last attempt of a lane by an earlier owner; its burst counts as used."""
        raise NotImplementedError

    def load(
        self,
        team_id: str,
        lane_id: int,
        source: str,
        rows: Iterable[QueuedDelivery],
        *,
        has_more: bool,
        now: float,
    ) -> None:
        """Take a page: the first waiting rows of a source in a lane, by urgency, then id.

        Args:
            has_more: whether the database has waiting rows of this lane and source after the last
                one given.
        """
        raise NotImplementedError

    def put(self, team_id: str, rows: Iterable[QueuedDelivery], now: float) -> None:
        """Add or replace waiting rows, as the change feed reports them.

        An earlier row with the same key goes first, at the better rank, or is absorbed. As only a
        page of a lane is in memory, intake also lowers the stored urgency of earlier waiting rows
        with the key to that of the later one, so that pages contain them in this order.

        A row that has moved to another lane is added there; its copy in the old lane is dropped
        with `forget_lane`, `remove`, or when its begin is refused.
        """
        raise NotImplementedError

    def put_first(
        self, team_id: str, row: QueuedDelivery, due: float, now: float, *, in_doubt: bool
    ) -> None:
        """Add a delivery that was attempted before: it goes first in its lane, when it is due.

        Args:
            due: when to look or try again. After a takeover: the time of acquisition plus the
                longest time a request can take.
            in_doubt: whether the row is `sending`: it is looked for (LOOK) before anything else.
        """
        raise NotImplementedError

    def remove(self, team_id: str, lane_id: int, delivery_id: int, now: float) -> None:
        """Drop a delivery that no longer waits, or whose doubt another owner has ended.

        Ignored for work under way, which is to be ended as usual, and for unknown rows.
        """
        raise NotImplementedError

    def forget_lane(self, team_id: str, lane_id: int) -> None:
        """Drop all rows of a lane, because they have moved or ended together."""
        raise NotImplementedError

    def step(self, now: float, most: int = 256) -> list[Work]:
        """Return what to begin now, at most `most`; each counts as under way from now on."""
        raise NotImplementedError

    def wanted(self, most: int = 64) -> list[WantedPage]:
        """Return pages to read, the longest wanted first; each is returned until `load` answers.

        A page that was returned is not returned again until `load` is called for it, or `lose_page`
        after a failure.
        """
        raise NotImplementedError

    def lose_page(self, page: WantedPage) -> None:
        """Ask again for a page that could not be read."""
        raise NotImplementedError

    def next_at(self) -> float | None:
        """Return when `step` has something to do, if nothing is reported until then; None: never.

        A time in the past means at once.
        """
        raise NotImplementedError

    def finish(self, work: Work, now: float, *, attempted: bool = True) -> None:
        """End work: the delivery is sent or ended, a name's rows have moved, a look is done.

        After RESOLVE all rows of the lane are forgotten; the store has moved or ended them and
        puts them into their new lane.

        Args:
            attempted: whether a request that changes something was made, which counts against the
                lane's pace. Without it the workspace's pace gets its share back.
        """
        raise NotImplementedError

    def retry(self, work: Work, now: float, due: float, *, attempted: bool = True) -> None:
        """End work that is to be done again at `due`; its lane waits, in order.

        A LOOK that found nothing ends so: the delivery is posted next in its lane.
        """
        raise NotImplementedError

    def doubt(self, work: Work, now: float, due: float) -> None:
        """End a POST or LOOK of which nobody knows whether it was posted: LOOK again at `due`."""
        raise NotImplementedError

    def give_back(self, work: Work, now: float) -> None:
        """End work that was not begun: nothing is charged, and it is to be done again at once."""
        raise NotImplementedError

    def look_again(self, team_id: str, delivery_id: int, due: float) -> None:
        """Plan a second look at a delivery; it blocks nothing."""
        raise NotImplementedError

    def pause(self, team_id: str, until: float) -> None:
        """Begin nothing in a workspace until then: 429 of chat.postMessage, dead installation."""
        raise NotImplementedError

    def pause_lookups(self, team_id: str, until: float) -> None:
        """Begin no lookups in a workspace until then: 429 of a method that reads."""
        raise NotImplementedError

    def resume(self, team_id: str, now: float) -> None:
        """End the pauses of a workspace: Bellhop was installed again."""
        raise NotImplementedError
