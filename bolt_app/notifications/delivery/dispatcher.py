"""The dispatcher: carries out what the scheduler decides, for the workspaces that are owned.

All of it runs in coroutines on the HTTP loop; the database is used from a pool of threads. What is
to be written is collected while a transaction is under way, and written with the next one.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bolt_app.db import DATABASE_DOWN
from bolt_app.delays import Delays
from bolt_app.logs import describe_error
from bolt_app.notifications.addresses import is_id
from bolt_app.notifications.delivery.attempts import Attempt, mark_of
from bolt_app.notifications.delivery.order import STEP_SECONDS
from bolt_app.notifications.delivery.outcomes import Outcome
from bolt_app.notifications.delivery.owner_clock import OwnerClock
from bolt_app.notifications.delivery.ownership import Changes, Ownership
from bolt_app.notifications.delivery.pacing import Limits
from bolt_app.notifications.delivery.resolver import Resolved, Resolver, Unlisted
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.sender import Check, Sender
from bolt_app.notifications.delivery.shards import OwnedShard, shard_of
from bolt_app.notifications.delivery.store import (
    BATCH,
    Begin,
    Committed,
    Feed,
    Finish,
    SecondLook,
    Store,
)
from bolt_app.notifications.delivery.transitions import Transitions
from bolt_app.notifications.delivery.work import QueuedDelivery, WantedPage, Work, WorkKind
from bolt_app.notifications.delivery.writer import DATABASE_DOWN_SECONDS, Writer
from bolt_app.oauth.calls import NotInstalledError
from bolt_app.slack_api import NotSentError, SlackCallError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Where another transaction has locked a row.
LOCKED_SECONDS = 0.05
# No pause that we write ourselves is as long: it was written while the clock was wrong.
LONGEST_PAUSE_SECONDS = 3600.0
LOADERS = 4


@dataclass
class _Owned:
    """A workspace that is owned.

    Attributes:
        seq: the number of the latest change that is known.
        acquired_at: on the monotonic clock.
        is_scheduled: whether it has, or will have, a place in the scheduler.
        is_known: whether the scheduler knows it.
        seen: while its pages are loaded: the lanes and sources that are; else None.
        doubts: deliveries that an earlier owner was sending, and their lanes.
        naming: lanes with something held that is due, whose destination is being found.
    """

    shard: OwnedShard
    seq: int
    acquired_at: float
    is_scheduled: bool = False
    is_known: bool = False
    seen: set[tuple[int, str]] | None = None
    is_dead: bool = False
    listed_at: datetime | None = None
    doubts: dict[int, int] = field(default_factory=dict)
    naming: set[int] = field(default_factory=set)


class Dispatcher:
    """Delivers for owned workspaces.

    `cycle` is called whenever `wait` returns; everything else happens in tasks that it starts.
    """

    def __init__(
        self,
        store: Store,
        transitions: Transitions,
        sender: Sender,
        resolver: Resolver,
        ownership: Ownership,
        *,
        limits: Limits,
        delays: Delays,
        retry_for: timedelta,
        executor: Executor,
        notify: Callable[[str], None],
        clock: OwnerClock,
    ) -> None:
        self._store = store
        self._transitions = transitions
        self._sender = sender
        self._resolver = resolver
        self._ownership = ownership
        self._limits = limits
        self._delays = delays
        self._retry_for = retry_for
        self._executor = executor
        self._clock = clock
        self._scheduler = Scheduler(limits)
        self._workspaces: dict[str, _Owned] = {}
        self._of_shard: dict[int, set[str]] = defaultdict(set)
        self._dirty: set[str] = set()
        self._writer = Writer(
            store,
            self._run,
            is_current=self._is_current,
            committed=self._committed,
            rejected=self._rejected,
            lost=self._give_back,
            notify=notify,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_reading = self._is_ticking = False
        self._tick_at = float("-inf")
        self._is_leaving = False
        self._wake = asyncio.Event()
        self._loaders = asyncio.Semaphore(LOADERS)

    # The loop.

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._tasks or self._dirty)

    async def cycle(self) -> float:
        """Take note of ownership, start what is due, and return how long nothing more is.

        Raises:
            OwnershipError: the setup does not allow safe ownership.
        """
        now = self._clock.monotonic()
        if now >= self._ownership.next_at:
            self._change(await self._ownership.step(now))
            now = self._clock.monotonic()
        if now >= self._tick_at and not self._is_ticking:
            self._is_ticking = True
            self._start(self._tick())
        if self._dirty and not self._is_reading:
            self._is_reading = True
            self._start(self._read_changes())
        for work in self._scheduler.step(now):
            self._begin(work)
        if self._writer.is_needed:
            self._start(self._writer.write())
        if pages := self._scheduler.wanted():
            self._start(self._read_pages(pages))
        due = [self._ownership.next_at, self._tick_at]
        if (next_at := self._scheduler.next_at()) is not None:
            due.append(next_at)
        return max(0.0, min(due) - now)

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until something is to be done."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    def notice(self, team_id: str | None) -> None:
        """Look at a workspace, or at all of them, soon: something may have changed."""
        if team_id is None:
            self._tick_at = float("-inf")
        else:
            self._dirty.add(team_id)
        self._wake.set()

    def look_now(self) -> None:
        """Look at everything with the next cycle, without waiting for a wake-up."""
        self._tick_at = float("-inf")

    async def leave(self) -> None:
        """Begin nothing more, give the ownership away, and finish what is under way."""
        self._is_leaving = True
        self._writer.drop_begins()
        await self._ownership.leave()
        for team_id in list(self._workspaces):
            self._forget(team_id)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _start(self, task: Coroutine[Any, Any, None]) -> None:
        started = asyncio.create_task(task)
        self._tasks.add(started)
        started.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task failed", exc_info=error)
        self._wake.set()

    def _run(self, call: Callable[..., T], *given: Any) -> Awaitable[T]:
        """Run something that uses the database in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._executor, call, *given)

    # Ownership.

    def _change(self, changes: Changes) -> None:
        for shard in changes.lost:
            for team_id in list(self._of_shard[shard.number]):
                self._forget(team_id)
        if changes.gained:
            self._start(self._gain(changes.gained))

    def _forget(self, team_id: str) -> None:
        owned = self._workspaces.pop(team_id, None)
        if owned is not None:
            self._of_shard[owned.shard.number].discard(team_id)
            self._scheduler.drop_workspace(team_id)
            gc.unfreeze()

    async def _gain(self, shards: Sequence[OwnedShard]) -> None:
        """Take over workspaces; those with nothing to do cost nothing until they change."""
        acquired_at = self._clock.monotonic()
        while any(self._is_owned(shard) for shard in shards):
            numbers = [one.number for one in shards]
            try:
                await self._run(self._transitions.forget_future, numbers)
                queues = await self._run(self._store.queues, numbers)
            except DATABASE_DOWN as error:
                _log_down(error)
                await asyncio.sleep(DATABASE_DOWN_SECONDS)
                continue
            by_number = {one.number: one for one in shards}
            for queue in queues:
                shard = by_number[queue.shard]
                if self._is_owned(shard) and queue.team_id not in self._workspaces:
                    self._add(queue.team_id, shard, queue.seq, acquired_at)
                    if queue.has_work:
                        self._load_later(queue.team_id)
            self.look_now()
            return

    def _is_owned(self, shard: OwnedShard) -> bool:
        return self._ownership.owned.get(shard.number) == shard

    def _add(self, team_id: str, shard: OwnedShard, seq: int, acquired_at: float) -> None:
        self._workspaces[team_id] = _Owned(shard, seq, acquired_at)
        self._of_shard[shard.number].add(team_id)

    # Loading.

    def _load_later(self, team_id: str) -> None:
        owned = self._workspaces[team_id]
        if not owned.is_scheduled:
            owned.is_scheduled, owned.seen = True, set()
            self._start(self._load(team_id, owned))

    async def _load(self, team_id: str, owned: _Owned) -> None:
        async with self._loaders:
            while self._workspaces.get(team_id) is owned:
                try:
                    await self._load_pages(team_id, owned)
                    return
                except DATABASE_DOWN as error:
                    _log_down(error)
                    await asyncio.sleep(DATABASE_DOWN_SECONDS)
                    self._take_over_again(team_id, owned)

    def _take_over_again(self, team_id: str, owned: _Owned) -> None:
        """Begin like a new owner, who does not know what is under way."""
        if self._workspaces.get(team_id) is owned:
            self._forget(team_id)
            self._add(team_id, owned.shard, 0, self._clock.monotonic())
            self._load_later(team_id)

    async def _load_pages(self, team_id: str, owned: _Owned) -> None:
        since = self._clock.now() - timedelta(seconds=self._limits.longest_burst())
        owned.seen = set()
        snapshot = await self._run(self._store.snapshot, team_id, since)
        if snapshot is None or self._workspaces.get(team_id) is not owned:
            return
        now = self._clock.monotonic()
        queue = snapshot.queue
        owned.seq = queue.seq
        owned.is_dead = queue.pause_reason is not None
        paused_until = self._clock.at_most(queue.paused_until, LONGEST_PAUSE_SECONDS)
        self._scheduler.add_workspace(
            team_id,
            now,
            used=self._limits.used((at - since).total_seconds() for at in snapshot.recent.values()),
            paused_until=paused_until,
            lookups_until=paused_until if owned.is_dead else 0.0,
        )
        owned.is_known = True
        self._dirty.add(team_id)
        for lane_id, at in snapshot.recent.items():
            self._scheduler.note_attempt(team_id, lane_id, min(now, self._clock.at(at)), now)
        settled_at = owned.acquired_at + self._delays.in_flight
        for row in snapshot.in_doubt:
            owned.doubts[row.id] = row.lane_id
            self._scheduler.put_first(team_id, self._queued(row), settled_at, now, in_doubt=True)
        for row in snapshot.retried:
            self._put_first(row, now)
        for row in snapshot.second_looks:
            self._scheduler.look_again(team_id, row.id, self._clock.at(row.second_look_at))
        rows = snapshot.urgent
        while True:
            self._load_rows(team_id, owned, rows)
            self._wake.set()
            if len(rows) < BATCH:
                break
            # What is loaded lives long: the garbage collector need not look at it.
            gc.freeze()
            rows = await self._run(self._store.more_urgent, team_id, rows[-1])
            if self._workspaces.get(team_id) is not owned:
                return
        owned.seen = None

    def _load_rows(self, team_id: str, owned: _Owned, rows: Sequence[Any]) -> None:
        """Take the most urgent rows of a workspace, as the first page of each lane and source."""
        pages: dict[tuple[int, str], list[QueuedDelivery]] = defaultdict(list)
        for row in rows:
            pages[row.lane_id, row.source].append(self._queued(row))
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

    async def _read_pages(self, pages: Sequence[WantedPage]) -> None:
        most = self._limits.page
        try:
            found = await self._run(self._store.pages, pages, most + 1)
        except DATABASE_DOWN as error:
            _log_down(error)
            await asyncio.sleep(DATABASE_DOWN_SECONDS)
            for page in pages:
                self._load_page(page, [], has_more=True)
            return
        for page, rows in zip(pages, found, strict=True):
            self._load_page(page, rows[:most], has_more=len(rows) > most)

    def _load_page(self, page: WantedPage, rows: Sequence[Any], *, has_more: bool) -> None:
        self._scheduler.load(
            page.team_id,
            page.lane_id,
            page.source,
            [self._queued(row) for row in rows],
            self._clock.monotonic(),
            has_more=has_more,
        )

    # The change feed.

    async def _read_changes(self) -> None:
        try:
            while self._dirty and not self._is_leaving:
                teams, self._dirty = self._dirty, set()
                for team_id in teams:
                    shard = self._ownership.owned.get(shard_of(team_id))
                    if shard is not None and team_id not in self._workspaces:
                        self._add(team_id, shard, 0, self._clock.monotonic())
                known = {
                    team_id: self._workspaces[team_id].seq
                    for team_id in teams
                    if team_id in self._workspaces
                }
                try:
                    feeds = await self._run(self._store.changes, known) if known else []
                except DATABASE_DOWN as error:
                    _log_down(error)
                    self._dirty |= teams
                    await asyncio.sleep(DATABASE_DOWN_SECONDS)
                    continue
                for feed in feeds:
                    await self._apply(feed)
                self._wake.set()
        finally:
            self._is_reading = False

    async def _apply(self, feed: Feed) -> None:
        team_id, owned = feed.team_id, self._workspaces.get(feed.team_id)
        if owned is None or (owned.is_scheduled and not owned.is_known):
            # Once the scheduler knows the workspace, the changes are read again.
            return
        owned.seq = max(owned.seq, feed.seq)
        if owned.is_dead and feed.pause_reason is None:
            owned.is_dead = False
            self._scheduler.resume(team_id)
        if not owned.is_scheduled:
            if feed.rows:
                self._load_later(team_id)
            return
        await self._end_doubts(team_id, owned)
        if owned.seen is not None:
            await self._load_changed(team_id, owned, feed.rows)
            return
        self._apply_rows(team_id, feed.rows)

    def _apply_rows(self, team_id: str, rows: Iterable[Any]) -> None:
        now = self._clock.monotonic()
        waiting = []
        for row in rows:
            if row.second_look_at is not None:
                self._scheduler.look_again(team_id, row.id, self._clock.at(row.second_look_at))
            if row.state == "waiting" and row.retry_at is not None:
                self._put_first(row, now)
            elif row.state == "waiting":
                waiting.append(self._queued(row))
            elif row.state in ("scheduled", "held"):
                self._scheduler.remove(team_id, row.lane_id, row.id, now)
        self._scheduler.put(team_id, waiting, now)

    async def _load_changed(self, team_id: str, owned: _Owned, rows: Iterable[Any]) -> None:
        """Load the lanes of rows that change while the workspace is loaded."""
        lanes = {(row.lane_id, row.source) for row in rows if row.state == "waiting"}
        if owned.seen is not None:
            owned.seen |= lanes
        if lanes:
            await self._read_pages([WantedPage(team_id, *one) for one in lanes])

    async def _end_doubts(self, team_id: str, owned: _Owned) -> None:
        """Let lanes go on where the earlier owner has finished what it was sending."""
        if not owned.doubts:
            return
        rows = {row.id: row for row in await self._run(self._store.rows, list(owned.doubts))}
        now = self._clock.monotonic()
        for delivery_id, lane_id in list(owned.doubts.items()):
            row = rows.get(delivery_id)
            if row is None or row.state != "sending":
                del owned.doubts[delivery_id]
                self._scheduler.remove(team_id, lane_id, delivery_id, now)
                self._apply_rows(team_id, [] if row is None else [row])

    # What becomes due, and missed wake-ups.

    async def _tick(self) -> None:
        try:
            self._tick_at = self._clock.monotonic() + self._delays.poll
            await self._look_around()
        except DATABASE_DOWN as error:
            _log_down(error)
        finally:
            self._is_ticking = False

    async def _look_around(self) -> None:
        numbers = list(self._ownership.owned)
        if not numbers or self._is_leaving:
            return
        if self._clock.was_set_back():
            logger.warning("the clock was set back")
            await self._run(self._transitions.forget_future, numbers)
        promoted = await self._run(self._transitions.promote, numbers)
        self._dirty.update(promoted.team_ids)
        for row in promoted.names:
            self._name(row)
        if promoted.next_at is not None:
            due = self._clock.monotonic() + (promoted.next_at - self._clock.now()).total_seconds()
            self._tick_at = min(self._tick_at, due)
        sums = await self._run(self._store.sums, numbers)
        changed = [
            number
            for number, total in sums.items()
            if total != sum(self._workspaces[one].seq for one in self._of_shard[number])
        ]
        if changed:
            for queue in await self._run(self._store.queues, changed):
                owned = self._workspaces.get(queue.team_id)
                if owned is None or owned.seq != queue.seq:
                    self._dirty.add(queue.team_id)

    def _name(self, row: Any) -> None:
        """Let the destination of a lane be found in which something held is due."""
        owned = self._workspaces.get(row.team_id)
        if owned is None:
            self._dirty.add(row.team_id)
        elif not owned.is_scheduled:
            self._load_later(row.team_id)
        elif owned.seen is None and row.lane_id not in owned.naming:
            owned.naming.add(row.lane_id)
            self._scheduler.put(row.team_id, [self._queued(row)], self._clock.monotonic())

    # Work.

    def _begin(self, work: Work) -> None:
        owned = self._workspaces.get(work.team_id)
        if owned is None:
            return
        if work.kind is WorkKind.POST:
            self._writer.begin(Begin(work, owned.shard))
        elif work.kind is WorkKind.LOOK:
            self._start(self._guarded(work, self._look(work, owned)))
        elif work.kind is WorkKind.RESOLVE:
            self._start(self._guarded(work, self._resolve(work, owned)))
        else:
            self._start(self._guarded(work, self._second_look(work, owned)))

    async def _guarded(self, work: Work, doing: Awaitable[None]) -> None:
        try:
            await doing
        except Exception as error:
            if isinstance(error, DATABASE_DOWN):
                _log_down(error)
            else:
                logger.exception("a %s failed", work.kind.value)
            now = self._clock.monotonic()
            self._scheduler.give_back(work, now + DATABASE_DOWN_SECONDS, now)

    def _check(self, shard: OwnedShard) -> Check:
        async def check() -> None:
            if not await self._ownership.confirm(shard):
                raise NotSentError("the workspace may have another owner")

        return check

    async def _post(self, begin: Begin, attempt: Attempt) -> None:
        outcome = await self._sender.send(attempt, self._check(begin.shard))
        is_doubled = attempt.is_repeat and outcome.is_final
        self._finish(begin, attempt, outcome, looks_again=is_doubled)

    async def _look(self, work: Work, owned: _Owned) -> None:
        owned.doubts.pop(work.delivery_id, None)
        found = await self._run(self._store.latest_attempt, work.delivery_id, "sending")
        if found is None:
            self._scheduler.finish(work, self._clock.monotonic(), attempted=False)
            await self._read_again([work.delivery_id])
            return
        _, attempt = found
        outcome = await self._sender.look(attempt, self._check(owned.shard))
        if outcome is None:
            now = self._clock.monotonic()
            self._scheduler.retry(work, now, now, attempted=False)
            return
        is_doubled = attempt.number > 1 and outcome.state == "sent"
        self._finish(Begin(work, owned.shard), attempt, outcome, looks_again=is_doubled)

    async def _resolve(self, work: Work, owned: _Owned) -> None:
        team_id, lane_id = work.team_id, work.lane_id
        row = await self._run(self._transitions.first_pending, lane_id)
        if row is None or is_id(row.address):
            self._resolved(work, owned, None)
            return
        result = await self._run(self._resolver.resolve, team_id, row.address, row.attempts + 1)
        if isinstance(result, Resolved):
            await self._run(self._transitions.move, team_id, lane_id, result.address)
        elif isinstance(result, Unlisted):
            if owned.listed_at != result.listed_at:
                owned.listed_at = result.listed_at
                await self._run(self._transitions.refuse_unlisted, team_id, result.listed_at)
        elif result.is_final:
            await self._run(self._transitions.refuse, team_id, lane_id, result.error)
        self._dirty.add(team_id)
        if isinstance(result, Unlisted):
            left = await self._run(self._transitions.first_pending, lane_id)
            self._resolved(work, owned, None if left is None else result.wait)
        elif isinstance(result, Outcome) and not result.is_final:
            is_left = await self._run(
                self._transitions.fail, team_id, row.id, result.error, result.wait, self._retry_for
            )
            self._pause(team_id, result)
            if result.error == "ratelimited":
                self._scheduler.pause_lookups(team_id, self._clock.monotonic() + result.wait)
            self._resolved(work, owned, result.wait if is_left else None)
        else:
            self._resolved(work, owned, None)
            self.look_now()

    def _resolved(self, work: Work, owned: _Owned, wait: float | None) -> None:
        now = self._clock.monotonic()
        if wait is None:
            owned.naming.discard(work.lane_id)
            self._scheduler.finish(work, now, attempted=False)
        else:
            self._scheduler.retry(work, now + wait, now, attempted=False)

    async def _second_look(self, work: Work, owned: _Owned) -> None:
        """Leave one message of a delivery, with the content that was put there last."""
        found = await self._run(self._store.ended_attempt, work.delivery_id)
        again_at, known, refused = None, None, None
        if found is not None:
            row, attempt = found
            check = self._check(owned.shard)
            try:
                known, refused = await self._sender.look_again(attempt, row.ts, check)
                if row.ts is not None and row.key is not None:
                    await self._repair_content(row)
            except NotSentError:
                now = self._clock.monotonic()
                self._scheduler.give_back(work, now + DATABASE_DOWN_SECONDS, now)
                return
            except (NotInstalledError, SlackCallError) as error:
                if isinstance(error, NotInstalledError) or not _is_over(error):
                    again_at = self._second_look_at()
                logger.info("no second look", extra={"error": describe_error(error)})
        if refused is not None:
            shown = {"delivery": work.delivery_id, "error": refused}
            logger.warning("a duplicate cannot be deleted", extra=shown)
        ended = SecondLook(work.delivery_id, again_at, refused, known)
        await self._run(self._store.end_second_look, ended)
        self._scheduler.finish(work, self._clock.monotonic(), attempted=False)
        if again_at is not None:
            self._scheduler.look_again(work.team_id, work.delivery_id, self._clock.at(again_at))

    async def _repair_content(self, row: Any) -> None:
        """Let a message that an old update changed last show the latest content again."""
        place = row.lane_id, row.channel_id, row.ts
        shown = await self._run(self._transitions.shown_mark, *place)
        mark = await self._sender.mark_at(row.team_id, row.channel_id, row.ts)
        if shown is not None and mark is not None and mark != mark_of(shown):
            logger.warning("a message showed an older content", extra={"delivery": row.id})
            await self._run(self._transitions.show_again, shown)
            self._dirty.add(row.team_id)

    # Writing.

    def _finish(
        self, begin: Begin, attempt: Attempt, outcome: Outcome, *, looks_again: bool
    ) -> None:
        at = self._second_look_at() if looks_again else None
        done = Finish(begin.work, begin.shard, attempt, outcome, self._clock.now(), at)
        self._writer.finish(done)
        if self._writer.is_needed:
            self._start(self._writer.write())

    def _second_look_at(self) -> datetime:
        wait = self._delays.second_look * random.uniform(1.0, 1.5)  # noqa: S311
        return self._clock.now() + timedelta(seconds=wait)

    def _is_current(self, finish: Finish) -> bool:
        owned = self._workspaces.get(finish.attempt.team_id)
        return owned is not None and owned.shard == finish.shard

    def _rejected(self, finishes: Sequence[Finish], begins: Sequence[Begin]) -> None:
        """Look at deliveries again that the database cannot store as they are."""
        self._give_back(begins, STEP_SECONDS)
        now = self._clock.monotonic()
        for finish in finishes:
            self._scheduler.doubt(finish.work, now + STEP_SECONDS, now)

    def _give_back(self, begins: Iterable[Begin], wait: float) -> None:
        now = self._clock.monotonic()
        for one in begins:
            self._scheduler.give_back(one.work, now + wait, now)

    def _committed(self, committed: Committed) -> None:
        now = self._clock.monotonic()
        for finish in committed.finished:
            self._scheduled_next(finish, now)
        for finish in committed.stale:
            logger.warning(
                "an outcome came too late",
                extra={
                    "delivery": finish.attempt.delivery_id,
                    "channel": finish.outcome.channel_id,
                    "ts": finish.outcome.ts,
                },
            )
            self._scheduler.finish(finish.work, now)
        changed = [one.work.delivery_id for one in committed.stale]
        changed += [one.work.delivery_id for one in committed.refused]
        if changed:
            self._start(self._read_again(changed))
        if committed.locked_finishes:
            self._start(self._write_later(committed.locked_finishes))
        for begin in committed.refused:
            self._scheduler.finish(begin.work, now, attempted=False)
        self._give_back(committed.locked_begins, LOCKED_SECONDS)
        for begin, attempt in committed.begun:
            self._start(self._post(begin, attempt))

    async def _read_again(self, delivery_ids: Sequence[int]) -> None:
        """Continue with the rows as they are: they are not what was known of them."""
        for row in await self._run(self._store.rows, delivery_ids):
            if row.team_id in self._workspaces:
                self._apply_rows(row.team_id, [row])

    async def _write_later(self, finishes: Sequence[Finish]) -> None:
        await asyncio.sleep(LOCKED_SECONDS)
        self._writer.finish(*finishes)
        await self._writer.write()

    def _scheduled_next(self, finish: Finish, now: float) -> None:
        work, outcome = finish.work, finish.outcome
        self._pause(work.team_id, outcome)
        if outcome.is_final:
            self._scheduler.finish(work, now, attempted=outcome.requested)
        elif outcome.state == "sending":
            self._scheduler.doubt(work, now + outcome.wait, now)
        elif outcome.is_undone:
            self._scheduler.give_back(work, now + LOCKED_SECONDS, now)
        else:
            due = now + outcome.wait
            self._scheduler.retry(work, due, now, attempted=outcome.requested)
        if finish.second_look_at is not None:
            due = self._clock.at(finish.second_look_at)
            self._scheduler.look_again(work.team_id, work.delivery_id, due)
        _log(finish)

    def _pause(self, team_id: str, outcome: Outcome) -> None:
        now, owned = self._clock.monotonic(), self._workspaces.get(team_id)
        if outcome.pause is None or owned is None:
            return
        self._scheduler.pause(team_id, now + outcome.pause)
        until = self._clock.now() + timedelta(seconds=outcome.pause)
        if outcome.pause_reason is not None:
            owned.is_dead = True
            self._scheduler.pause_lookups(team_id, now + outcome.pause)
            shown = {"team_id": team_id, "error": outcome.pause_reason, "until": until.isoformat()}
            logger.warning("a workspace gets nothing until Bellhop is installed again", extra=shown)
        self._start(self._store_pause(team_id, until, outcome.pause_reason))

    async def _store_pause(self, team_id: str, until: datetime, reason: str | None) -> None:
        try:
            await self._run(self._store.pause, team_id, until, reason)
        except DATABASE_DOWN as error:
            _log_down(error)

    def _put_first(self, row: Any, now: float) -> None:
        due = self._clock.at_most(row.retry_at, self._delays.longest_retry * 1.2)
        self._scheduler.put_first(row.team_id, self._queued(row), due, now, in_doubt=False)

    def _queued(self, row: Any) -> QueuedDelivery:
        return QueuedDelivery(
            urgency=self._clock.urgency(row.urgency),
            id=row.id,
            lane_id=row.lane_id,
            source=row.source,
            rank=row.rank,
            key=row.key,
            is_update=row.mode == "update",
            is_name=not is_id(row.address),
        )


def _is_over(error: SlackCallError) -> bool:
    return error.is_permanent and not error.is_dead_token


def _log(finish: Finish) -> None:
    outcome, attempt = finish.outcome, finish.attempt
    level = logging.INFO if outcome.error is None else logging.WARNING
    extra = {
        "delivery": attempt.delivery_id,
        "channel": attempt.address,
        "error": outcome.error,
    }
    logger.log(level, "delivery %s", outcome.state, extra=extra)


def _log_down(error: BaseException) -> None:
    logger.warning("the database is not answering", extra={"error": describe_error(error)})
