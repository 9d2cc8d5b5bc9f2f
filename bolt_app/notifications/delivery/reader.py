"""The reader: loads workspaces into the scheduler, and applies the change feed."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from bolt_app.delays import Delays
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.owner_clock import OwnerClock
from bolt_app.notifications.delivery.ownership import Ownership
from bolt_app.notifications.delivery.pacing import DeliveryLimits
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.statements import BATCH
from bolt_app.notifications.delivery.store import Feed, Snapshot, Store
from bolt_app.notifications.delivery.tasks import DATABASE_UNAVAILABLE_SECONDS, Tasks, log_failure
from bolt_app.notifications.delivery.work import QueuedDelivery, WantedPage
from bolt_app.notifications.delivery.workspaces import OwnedWorkspace, Workspaces
from bolt_app.notifications.queue.shards import OwnedShard, shard_of
from bolt_app.slack_ids import is_destination

# A longer stored pause was written while the clock was wrong.
LONGEST_PAUSE_SECONDS = 3600.0
LOADERS = 4
# Changes that are applied before the loop runs other work.
AT_ONCE = 256


class WorkspaceReader:
    """Reads the rows of owned workspaces.

    An idle workspace costs nothing until it changes. A failed read is retried after any error: a
    partially loaded workspace would not be delivered.

    Attributes:
        notices: how many changes were noticed so far.
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        ownership: Ownership,
        workspaces: Workspaces,
        tasks: Tasks,
        *,
        limits: DeliveryLimits,
        delays: Delays,
        clock: OwnerClock,
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._ownership = ownership
        self._workspaces = workspaces
        self._tasks = tasks
        self._limits = limits
        self._delays = delays
        self._clock = clock
        self._dirty: set[str] = set()
        self.notices = 0
        # The shards whose workspaces are loaded.
        self._ready: dict[int, OwnedShard] = {}
        self._is_reading = False
        self._is_reading_pages = False
        self._is_closed = False
        self._loaders = asyncio.Semaphore(LOADERS)

    @property
    def is_behind(self) -> bool:
        """Whether there are unread changes."""
        return bool(self._dirty)

    def is_ready(self, shard: OwnedShard) -> bool:
        """Whether the workspaces of a shard are loaded."""
        return self._ready.get(shard.number) == shard

    def close(self) -> None:
        """Stop reading changes."""
        self._is_closed = True
        self._dirty.clear()

    def notice(self, *team_ids: str) -> None:
        """Read the changes of workspaces soon."""
        self._dirty.update(team_ids)
        self.notices += len(team_ids)

    def read_soon(self) -> None:
        """Start to read unread changes, and the pages that the scheduler wants."""
        if self._dirty and not self._is_reading:
            self._is_reading = True
            self._tasks.start(self._read_changes())
        if not self._is_reading_pages and (pages := self._scheduler.wanted()):
            self._is_reading_pages = True
            self._tasks.start(self._read_wanted(pages))

    def forget(self, team_id: str) -> None:
        """Remove a workspace that is no longer owned."""
        if self._workspaces.remove(team_id):
            self._scheduler.drop_workspace(team_id)
            gc.unfreeze()

    async def gain(self, shards: Sequence[OwnedShard]) -> None:
        """Take over the workspaces of shards."""
        acquired_at = self._clock.monotonic()
        while any(self._is_owned(shard) for shard in shards):
            numbers = [shard.number for shard in shards]
            try:
                queues = await self._tasks.run(self._store.queues, numbers)
            except Exception as error:
                log_failure("takeover of workspaces", error)
                await asyncio.sleep(DATABASE_UNAVAILABLE_SECONDS)
                continue
            by_number = {shard.number: shard for shard in shards}
            for queue in queues:
                shard = by_number[queue.shard]
                if self._is_owned(shard) and queue.team_id not in self._workspaces:
                    owned = OwnedWorkspace(shard, queue.seq, acquired_at)
                    self._workspaces.add(queue.team_id, owned)
                    if queue.has_work:
                        self.load_soon(queue.team_id, owned)
            self._ready.update(by_number)
            return

    def _is_owned(self, shard: OwnedShard) -> bool:
        return self._ownership.owned.get(shard.number) == shard

    # Loading.

    def load_soon(self, team_id: str, owned: OwnedWorkspace) -> None:
        """Start to load a workspace into the scheduler, unless it is loaded."""
        if not owned.is_scheduled:
            owned.is_scheduled, owned.seen = True, set()
            self._tasks.start(self._load(team_id, owned))

    async def _load(self, team_id: str, owned: OwnedWorkspace) -> None:
        async with self._loaders:
            if self._workspaces.find(team_id) is owned:
                with self.restoring(team_id):
                    await self._load_pages(team_id, owned)

    @contextmanager
    def restoring(self, team_id: str) -> Iterator[None]:
        """Reload the workspace from its rows after an error, so that memory matches them.

        It is reloaded after a pause, as by a new owner: attempts in flight are in doubt until their
        outcome is written.
        """
        owned = self._workspaces.find(team_id)
        try:
            yield
        except Exception as error:
            log_failure("delivery in a workspace", error)
            if owned is not None and self._workspaces.find(team_id) is owned:
                self.forget(team_id)
                again = OwnedWorkspace(owned.shard, 0, self._clock.monotonic())
                again.is_scheduled, again.seen = True, set()
                self._workspaces.add(team_id, again)
                self._tasks.start(self._load_later(team_id, again))

    async def _load_later(self, team_id: str, owned: OwnedWorkspace) -> None:
        await asyncio.sleep(DATABASE_UNAVAILABLE_SECONDS)
        await self._load(team_id, owned)

    async def _load_pages(self, team_id: str, owned: OwnedWorkspace) -> None:
        since = self._clock.now() - timedelta(seconds=self._limits.longest_burst())
        owned.seen = set()
        snapshot = await self._tasks.run(self._store.snapshot, team_id, since)
        if self._workspaces.find(team_id) is not owned:
            return
        if snapshot is None:
            # It has no deliveries so far, and is loaded with its first.
            self.forget(team_id)
            return
        self._begin_to_schedule(team_id, owned, snapshot, since)
        rows = snapshot.urgent
        while True:
            self._load_rows(team_id, owned, rows)
            self._tasks.wake()
            if len(rows) < BATCH:
                break
            # Loaded rows live long: exempt them from garbage collection.
            gc.freeze()
            rows = await self._tasks.run(self._store.more_urgent, team_id, rows[-1])
            if self._workspaces.find(team_id) is not owned:
                return
        owned.seen = None

    def _begin_to_schedule(
        self, team_id: str, owned: OwnedWorkspace, snapshot: Snapshot, since: datetime
    ) -> None:
        """Add a workspace to the scheduler, with all deliveries that were attempted before."""
        now = self._clock.monotonic()
        queue = snapshot.queue
        owned.seq = queue.seq
        owned.dead_at = None if queue.pause_reason is None else queue.seq
        paused_until = self._clock.at_most(queue.paused_until, LONGEST_PAUSE_SECONDS)
        self._scheduler.add_workspace(
            team_id,
            now,
            used=self._limits.used((at - since).total_seconds() for at in snapshot.recent.values()),
            paused_until=paused_until,
            lookups_until=0.0 if owned.dead_at is None else paused_until,
        )
        owned.is_known = True
        self._dirty.add(team_id)
        for lane_id, at in snapshot.recent.items():
            self._scheduler.note_attempt(team_id, lane_id, min(now, self._clock.at(at)), now)
        settled_at = owned.acquired_at + self._delays.in_flight
        for row in snapshot.in_doubt:
            owned.doubts[row.id] = self._put_in_doubt(row, settled_at, now)
        for row in snapshot.retried:
            self._put_first(row, now)
        for row in snapshot.second_looks:
            self._scheduler.look_again(team_id, row.id, self._clock.at(row.second_look_at))

    def _load_rows(self, team_id: str, owned: OwnedWorkspace, rows: Sequence[Any]) -> None:
        """Load the most urgent rows of a workspace, as the first page of each lane and source."""
        pages: dict[tuple[int, str], list[QueuedDelivery]] = defaultdict(list)
        for row in rows:
            pages[row.lane_id, row.source].append(self.queued(row))
        is_last, most = len(rows) < BATCH, self._limits.page
        seen = owned.seen if owned.seen is not None else set()
        for (lane_id, source), page in pages.items():
            if (lane_id, source) not in seen:
                seen.add((lane_id, source))
                has_more = not is_last or len(page) > most
                self._scheduler.load(
                    team_id,
                    lane_id,
                    source,
                    page[:most],
                    self._clock.monotonic(),
                    has_more=has_more,
                )

    async def _read_wanted(self, pages: Sequence[WantedPage]) -> None:
        try:
            await self._read_pages(pages)
        finally:
            self._is_reading_pages = False

    async def _read_pages(self, pages: Sequence[WantedPage]) -> None:
        most = self._limits.page
        try:
            found = await self._tasks.run(self._store.pages, pages, most + 1)
        except Exception as error:
            log_failure("read of waiting deliveries", error)
            await asyncio.sleep(DATABASE_UNAVAILABLE_SECONDS)
            for page in pages:
                self._load_page(page, [], has_more=True)
            return
        for page, rows in zip(pages, found, strict=True):
            self._load_page(page, rows[:most], has_more=len(rows) > most)

    def _load_page(self, page: WantedPage, rows: Sequence[Any], *, has_more: bool) -> None:
        with self.restoring(page.team_id):
            self._scheduler.load(
                page.team_id,
                page.lane_id,
                page.source,
                [self.queued(row) for row in rows],
                self._clock.monotonic(),
                has_more=has_more,
                is_name=page.is_name,
            )

    # The change feed.

    async def _read_changes(self) -> None:
        try:
            while self._dirty and not self._is_closed:
                teams, self._dirty = self._dirty, set()
                for team_id in teams:
                    shard = self._ownership.owned.get(shard_of(team_id))
                    if shard is None or not self.is_ready(shard):
                        # It is loaded when the shard is gained.
                        continue
                    if team_id not in self._workspaces:
                        fresh = OwnedWorkspace(shard, 0, self._clock.monotonic())
                        self._workspaces.add(team_id, fresh)
                        self.load_soon(team_id, fresh)
                found = ((team_id, self._workspaces.find(team_id)) for team_id in teams)
                known = {team_id: owned.seq for team_id, owned in found if owned is not None}
                try:
                    feeds = await self._tasks.run(self._store.changes, known) if known else []
                except Exception as error:
                    log_failure("read of changes", error)
                    self._dirty |= teams
                    await asyncio.sleep(DATABASE_UNAVAILABLE_SECONDS)
                    continue
                for feed in feeds:
                    with self.restoring(feed.team_id):
                        await self._apply(feed)
                self._tasks.wake()
        finally:
            self._is_reading = False

    async def _apply(self, feed: Feed) -> None:
        team_id, owned = feed.team_id, self._workspaces.find(feed.team_id)
        if owned is None or (owned.is_scheduled and not owned.is_known):
            # The changes are read again once the workspace is in the scheduler.
            return
        owned.seq = max(owned.seq, feed.seq)
        # A feed that was read before the pause was stored does not end it.
        if owned.dead_at is not None and feed.pause_reason is None and feed.seq > owned.dead_at:
            owned.dead_at = None
            self._scheduler.resume(team_id)
        if not owned.is_scheduled:
            if feed.rows:
                self.load_soon(team_id, owned)
            return
        await self._end_doubts(team_id, owned)
        if owned.seen is not None:
            await self._load_changed(team_id, owned, feed.rows)
            return
        for start in range(0, len(feed.rows), AT_ONCE):
            if self._workspaces.find(team_id) is owned:
                self.apply(team_id, feed.rows[start : start + AT_ONCE])
                await asyncio.sleep(0)

    def apply(self, team_id: str, rows: Iterable[Any]) -> None:
        now = self._clock.monotonic()
        waiting = []
        for row in rows:
            if row.second_look_at is not None:
                self._scheduler.look_again(team_id, row.id, self._clock.at(row.second_look_at))
            if row.state == DeliveryState.WAITING and row.retry_at is not None:
                self._put_first(row, now)
            elif row.state == DeliveryState.WAITING:
                waiting.append(self.queued(row))
            elif row.state in (DeliveryState.SCHEDULED, DeliveryState.HELD):
                self._scheduler.remove(team_id, self.queued(row), now)
        self._scheduler.put(team_id, waiting, now)

    async def _load_changed(self, team_id: str, owned: OwnedWorkspace, rows: Iterable[Any]) -> None:
        """Load the lanes of rows that changed while the workspace was being loaded."""
        waiting = [self.queued(row) for row in rows if row.state == DeliveryState.WAITING]
        pages = {WantedPage(team_id, row.lane_id, row.source, row.is_name) for row in waiting}
        if owned.seen is not None:
            owned.seen |= {(page.lane_id, page.source) for page in pages}
        if pages:
            await self._read_pages(list(pages))

    async def _end_doubts(self, team_id: str, owned: OwnedWorkspace) -> None:
        """End the doubts about deliveries that the earlier owner has finished."""
        if not owned.doubts:
            return
        rows = {row.id: row for row in await self._tasks.run(self._store.rows, list(owned.doubts))}
        now = self._clock.monotonic()
        for delivery_id, queued in list(owned.doubts.items()):
            row = rows.get(delivery_id)
            if row is None or row.state != DeliveryState.SENDING:
                del owned.doubts[delivery_id]
                self._scheduler.remove(team_id, queued, now)
                self.apply(team_id, [] if row is None else [row])

    async def read_again(self, delivery_ids: Sequence[int]) -> None:
        """Read rows again that differ from the scheduler's state.

        An attempt in doubt is in another lane if its channel has got another id.
        """
        while not self._is_closed:
            try:
                rows = await self._tasks.run(self._store.rows, delivery_ids)
            except Exception as error:
                log_failure("read of deliveries", error)
                await asyncio.sleep(DATABASE_UNAVAILABLE_SECONDS)
                continue
            for row in rows:
                with self.restoring(row.team_id):
                    if row.state == DeliveryState.SENDING:
                        now = self._clock.monotonic()
                        self._put_in_doubt(row, now + self._delays.in_flight, now)
                    else:
                        self.apply(row.team_id, [row])
            return

    def _put_in_doubt(self, row: Any, due: float, now: float) -> QueuedDelivery:
        queued = self.queued(row)
        self._scheduler.put_first(row.team_id, queued, due, now, in_doubt=True)
        return queued

    def _put_first(self, row: Any, now: float) -> None:
        due = self._clock.at_most(row.retry_at, self._delays.longest_retry * 1.2)
        self._scheduler.put_first(row.team_id, self.queued(row), due, now, in_doubt=False)

    def queued(self, row: Any) -> QueuedDelivery:
        """Return a row in the scheduler's form."""
        return QueuedDelivery(
            urgency=self._clock.urgency(row.urgency),
            id=row.id,
            lane_id=row.lane_id,
            source=row.source,
            rank=row.rank,
            key=row.key,
            is_update=row.mode == DeliveryMode.UPDATE,
            # A message in doubt is looked for in the conversation itself.
            is_name=not is_destination(row.address) and row.state != DeliveryState.SENDING,
        )
