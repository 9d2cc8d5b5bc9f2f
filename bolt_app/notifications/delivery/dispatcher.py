"""The dispatcher: executes the scheduler's decisions for owned workspaces.

It runs in coroutines on the HTTP loop, and uses the database from a pool of threads. Begins and
outcomes are collected while a transaction is running, and written with the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any

from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.delays import Delays
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.attempts import Attempt
from bolt_app.notifications.delivery.outcomes import Outcome
from bolt_app.notifications.delivery.owner_clock import OwnerClock
from bolt_app.notifications.delivery.ownership import Changes, Ownership
from bolt_app.notifications.delivery.pacing import DeliveryLimits
from bolt_app.notifications.delivery.reader import WorkspaceReader
from bolt_app.notifications.delivery.resolver import (
    DestinationResolver,
    ResolvedDestination,
    UnlistedChannel,
)
from bolt_app.notifications.delivery.scheduler import Scheduler
from bolt_app.notifications.delivery.second_looks import SecondLooks
from bolt_app.notifications.delivery.sender import Check, MessageSender
from bolt_app.notifications.delivery.store import (
    MOST_BYTES,
    Begin,
    Committed,
    Finish,
    Store,
)
from bolt_app.notifications.delivery.tasks import DATABASE_UNAVAILABLE_SECONDS, Tasks, log_failure
from bolt_app.notifications.delivery.transitions import Transitions
from bolt_app.notifications.delivery.work import Work, WorkKind
from bolt_app.notifications.delivery.workspaces import OwnedWorkspace, Workspaces
from bolt_app.notifications.delivery.writer import Writer
from bolt_app.notifications.queue.rank import STEP_SECONDS
from bolt_app.notifications.queue.shards import OwnedShard
from bolt_app.slack_api import NotSentError
from bolt_app.slack_ids import is_destination

logger = logging.getLogger(__name__)

# Wait for a row that another transaction has locked.
LOCKED_SECONDS = 0.05


class Dispatcher:
    """Delivers for owned workspaces.

    `cycle` is called whenever `wait` returns; everything else happens in tasks that it starts.
    """

    def __init__(
        self,
        store: Store,
        transitions: Transitions,
        sender: MessageSender,
        resolver: DestinationResolver,
        ownership: Ownership,
        *,
        limits: DeliveryLimits,
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
        self._delays = delays
        self._retry_for = retry_for
        self._clock = clock
        self._tasks = Tasks(executor)
        self._scheduler = Scheduler(limits)
        self._second_looks = SecondLooks(
            store,
            transitions,
            sender,
            self._tasks.run,
            notice=self.notice,
            wait=delays.second_look,
            clock=clock.now,
        )
        self._workspaces = Workspaces()
        self._reader = WorkspaceReader(
            store,
            self._scheduler,
            ownership,
            self._workspaces,
            self._tasks,
            limits=limits,
            delays=delays,
            clock=clock,
        )
        self._writer = Writer(
            store,
            self._tasks.run,
            is_current=self._is_current,
            committed=self._committed,
            rejected=self._rejected,
            lost=lambda begins: self._give_back(
                (begin.work for begin in begins), DATABASE_UNAVAILABLE_SECONDS
            ),
            notify=notify,
            room=lambda: MOST_BYTES - self._bytes_in_flight,
        )
        self._bytes_in_flight = 0
        self._is_ticking = False
        self._is_clock_in_doubt = False
        self._known_sums: Mapping[int, int] = {}
        # How many notices the last promotion included, and when deliveries are due next.
        self._promoted = -1
        self._next_promotion: datetime | None = None
        self._tick_at = float("-inf")
        self._is_leaving = False

    # The loop.

    @property
    def is_busy(self) -> bool:
        """Whether any work is in progress."""
        return self._tasks.is_busy or self._reader.is_behind

    async def cycle(self) -> float:
        """Run one delivery cycle: update ownership and start due work.

        Returns: seconds until more work is due.

        Raises:
            OwnershipError: the setup does not allow safe ownership.
        """
        now = self._clock.monotonic()
        if now >= self._ownership.next_at:
            self._change(await self._ownership.step(now))
            now = self._clock.monotonic()
        if now >= self._tick_at and not self._is_ticking:
            self._is_ticking = True
            self._tasks.start(self._tick())
        for work in self._scheduler.step(now):
            self._begin(work)
        if self._writer.is_needed:
            self._tasks.start(self._writer.write())
        self._reader.read_soon()
        due = [self._ownership.next_at]
        if not self._is_ticking:
            due.append(self._tick_at)
        if (next_at := self._scheduler.next_at()) is not None:
            due.append(next_at)
        return max(0.0, min(due) - now)

    async def wait(self, seconds: float) -> None:
        """Wait for a time, or until there is work."""
        await self._tasks.wait(seconds)

    def notice(self, team_id: str | None) -> None:
        """Read the changes of a workspace, or of all of them, soon."""
        if team_id is None:
            self._tick_at = float("-inf")
        else:
            self._reader.notice(team_id)
        self._tasks.wake()

    def poll_now(self) -> None:
        """Poll all workspaces with the next cycle."""
        self._tick_at = float("-inf")

    async def leave(self) -> None:
        """Begin no more work, release the ownership, and finish the work in progress."""
        self._is_leaving = True
        self._writer.drop_begins()
        self._reader.close()
        await self._ownership.leave()
        for team_id in self._workspaces:
            self._reader.forget(team_id)
        await self._tasks.finish()

    # Ownership.

    def _change(self, changes: Changes) -> None:
        for shard in changes.lost:
            for team_id in self._workspaces.of_shard(shard.number):
                self._reader.forget(team_id)
        if changes.gained:
            self._tasks.start(self._gain(changes.gained))

    async def _gain(self, shards: Sequence[OwnedShard]) -> None:
        await self._reader.gain(shards)
        self._is_clock_in_doubt = True
        self.poll_now()

    # The poll: due deliveries, and changes whose wakeup was missed.

    async def _tick(self) -> None:
        try:
            self._tick_at = self._clock.monotonic() + self._delays.poll
            await self._poll()
        except DATABASE_UNAVAILABLE as error:
            log_failure("poll", error)
        finally:
            self._is_ticking = False

    async def _poll(self) -> None:
        owned = self._ownership.owned
        numbers = [number for number, shard in owned.items() if self._reader.is_ready(shard)]
        if not numbers or self._is_leaving:
            return
        if self._clock.was_set_back() or self._is_clock_in_doubt:
            self._is_clock_in_doubt = False
            self._promoted = -1
            await self._tasks.run(self._transitions.forget_future, numbers)
        await self._find_changes(numbers)
        await self._promote(numbers)

    async def _find_changes(self, numbers: Sequence[int]) -> None:
        """Notice changes whose wakeup was missed."""
        sums = await self._tasks.run(self._store.sums, numbers)
        if sums == self._known_sums:
            return
        changed = [
            number for number, total in sums.items() if total != self._workspaces.sum_of(number)
        ]
        self._known_sums = {} if changed else sums
        if changed:
            for queue in await self._tasks.run(self._store.queues, changed):
                workspace = self._workspaces.find(queue.team_id)
                if workspace is None or workspace.seq != queue.seq:
                    self._reader.notice(queue.team_id)

    async def _promote(self, numbers: Sequence[int]) -> None:
        """Promote deliveries that are due, unless nothing has changed and none can be due."""
        notices, next_at = self._reader.notices, self._next_promotion
        if notices != self._promoted or (next_at is not None and next_at <= self._clock.now()):
            promoted = await self._tasks.run(self._transitions.promote, numbers)
            # Names are resolved again until they are known.
            self._promoted = -1 if promoted.names else notices
            self._next_promotion = next_at = promoted.next_at
            self._reader.notice(*promoted.team_ids)
            for row in promoted.names:
                self._schedule_resolution(row)
        if next_at is not None:
            due = self._clock.monotonic() + (next_at - self._clock.now()).total_seconds()
            self._tick_at = min(self._tick_at, due)

    def _schedule_resolution(self, row: Any) -> None:
        """Schedule the resolution of a lane's name, for a held delivery that is due."""
        owned = self._workspaces.find(row.team_id)
        if owned is None:
            self._reader.notice(row.team_id)
        elif not owned.is_scheduled:
            self._reader.load_soon(row.team_id, owned)
        elif owned.seen is None and row.lane_id not in owned.resolving:
            owned.resolving.add(row.lane_id)
            self._scheduler.put(row.team_id, [self._reader.queued(row)], self._clock.monotonic())

    # Work.

    def _begin(self, work: Work) -> None:
        owned = self._workspaces.find(work.team_id)
        if owned is None:
            return
        if work.kind is WorkKind.POST:
            self._writer.begin(Begin(work, owned.shard))
        elif work.kind is WorkKind.LOOK:
            self._tasks.start(self._guarded(work, self._look(work, owned)))
        elif work.kind is WorkKind.RESOLVE:
            self._tasks.start(self._guarded(work, self._resolve(work, owned)))
        else:
            self._tasks.start(self._guarded(work, self._second_look(work, owned)))

    async def _guarded(self, work: Work, execution: Awaitable[None]) -> None:
        try:
            await execution
        except Exception as error:
            if not isinstance(error, NotSentError):
                log_failure(work.kind.value, error)
            self._give_back([work], DATABASE_UNAVAILABLE_SECONDS)

    def _check(self, shard: OwnedShard) -> Check:
        async def check() -> None:
            if not await self._ownership.confirm(shard):
                raise NotSentError("the workspace may have another owner")

        return check

    async def _post(self, begin: Begin, attempt: Attempt) -> None:
        with self._reader.restoring(attempt.team_id):
            try:
                outcome = await self._sender.send(attempt, self._check(begin.shard))
            finally:
                self._bytes_in_flight -= attempt.size
            may_be_duplicated = attempt.is_repeat and outcome.is_final
            self._finish(begin, attempt, outcome, looks_again=may_be_duplicated)

    async def _look(self, work: Work, owned: OwnedWorkspace) -> None:
        owned.doubts.pop(work.delivery_id, None)
        found = await self._tasks.run(
            self._store.latest_attempt, work.delivery_id, DeliveryState.SENDING
        )
        if found is None:
            self._scheduler.finish(work, self._clock.monotonic(), attempted=False)
            await self._reader.read_again([work.delivery_id])
            return
        _, attempt = found
        outcome = await self._sender.look(attempt, self._check(owned.shard))
        if outcome is None:
            now = self._clock.monotonic()
            self._scheduler.retry(work, now, now, attempted=False)
            return
        may_be_duplicated = attempt.number > 1 and outcome.state == DeliveryState.SENT
        self._finish(Begin(work, owned.shard), attempt, outcome, looks_again=may_be_duplicated)

    async def _resolve(self, work: Work, owned: OwnedWorkspace) -> None:
        team_id, lane_id = work.team_id, work.lane_id
        row = await self._tasks.run(self._transitions.first_due, lane_id)
        if row is None or is_destination(row.address):
            self._resolved(work, owned, None)
            return
        senders = await self._tasks.run(self._transitions.senders_of, lane_id)
        if not senders:
            self._resolved(work, owned, None)
            return
        attempts = row.attempts + 1
        result = await self._resolver.resolve_soon(team_id, row.address, attempts, senders)
        if isinstance(result, ResolvedDestination):
            await self._tasks.run(self._transitions.move, team_id, lane_id, result.address)
        elif isinstance(result, UnlistedChannel):
            if owned.listed_at != result.listed_at:
                owned.listed_at = result.listed_at
                await self._tasks.run(self._transitions.end_unlisted, team_id, result.listed_at)
        elif result.is_final:
            await self._tasks.run(self._transitions.end_lane, team_id, lane_id, result.error)
        self._reader.notice(team_id)
        if isinstance(result, UnlistedChannel):
            left = await self._tasks.run(self._transitions.first_due, lane_id)
            self._resolved(work, owned, None if left is None else result.wait)
        elif isinstance(result, Outcome) and not result.is_final:
            is_left = await self._tasks.run(
                self._transitions.fail, team_id, row.id, result, self._retry_for
            )
            self._pause(team_id, result)
            # Bellhop's own limit is for some senders: names of others are resolved meanwhile.
            if result.error == "ratelimited" and result.is_failure:
                self._scheduler.pause_lookups(team_id, self._clock.monotonic() + result.wait)
            self._resolved(work, owned, result.wait if is_left else None)
        else:
            self._resolved(work, owned, None)
            self.poll_now()

    def _resolved(self, work: Work, owned: OwnedWorkspace, wait: float | None) -> None:
        now = self._clock.monotonic()
        if wait is None:
            owned.resolving.discard(work.lane_id)
            self._scheduler.finish(work, now, attempted=False)
        else:
            self._scheduler.retry(work, now + wait, now, attempted=False)

    async def _second_look(self, work: Work, owned: OwnedWorkspace) -> None:
        again_at = await self._second_looks.look(work.delivery_id, self._check(owned.shard))
        self._scheduler.finish(work, self._clock.monotonic(), attempted=False)
        if again_at is not None:
            self._scheduler.look_again(work.team_id, work.delivery_id, self._clock.at(again_at))

    # Writing.

    def _finish(
        self, begin: Begin, attempt: Attempt, outcome: Outcome, *, looks_again: bool
    ) -> None:
        at = self._second_looks.due() if looks_again else None
        done = Finish(begin.work, begin.shard, attempt, outcome, self._clock.now(), at)
        self._writer.finish(done)
        if self._writer.is_needed:
            self._tasks.start(self._writer.write())

    def _is_current(self, finish: Finish) -> bool:
        owned = self._workspaces.find(finish.attempt.team_id)
        return owned is not None and owned.shard == finish.shard

    def _rejected(self, finishes: Sequence[Finish], begins: Sequence[Begin]) -> None:
        """Return deliveries to the scheduler whose begins or outcomes the database rejects."""
        self._give_back((begin.work for begin in begins), STEP_SECONDS)
        now = self._clock.monotonic()
        for finish in finishes:
            with self._reader.restoring(finish.work.team_id):
                self._scheduler.doubt(finish.work, now + STEP_SECONDS, now)

    def _give_back(self, works: Iterable[Work], wait: float) -> None:
        now = self._clock.monotonic()
        for work in works:
            with self._reader.restoring(work.team_id):
                self._scheduler.give_back(work, now + wait, now)

    def _committed(self, committed: Committed) -> None:
        now = self._clock.monotonic()
        for finish in committed.finished:
            with self._reader.restoring(finish.work.team_id):
                self._scheduled_next(finish, now)
        for finish in committed.stale:
            _log_stale(finish)
        self._end(committed.stale, now, attempted=True)
        self._end(committed.refused, now, attempted=False)
        for begin, rows in committed.preceded:
            with self._reader.restoring(begin.work.team_id):
                self._scheduler.finish(begin.work, now, attempted=False)
                self._reader.apply(begin.work.team_id, rows)
        if committed.locked_finishes:
            self._tasks.start(self._write_later(committed.locked_finishes))
        self._give_back((begin.work for begin in committed.locked_begins), LOCKED_SECONDS)
        for begin, attempt in committed.begun:
            self._bytes_in_flight += attempt.size
            self._tasks.start(self._post(begin, attempt))

    def _end(self, ended: Sequence[Finish | Begin], now: float, *, attempted: bool) -> None:
        """End work whose row has changed, and read the row again."""
        for item in ended:
            with self._reader.restoring(item.work.team_id):
                self._scheduler.finish(item.work, now, attempted=attempted)
        if ended:
            ids = [item.work.delivery_id for item in ended]
            self._tasks.start(self._reader.read_again(ids))

    async def _write_later(self, finishes: Sequence[Finish]) -> None:
        await asyncio.sleep(LOCKED_SECONDS)
        self._writer.finish(*finishes)
        await self._writer.write()

    def _scheduled_next(self, finish: Finish, now: float) -> None:
        work, outcome = finish.work, finish.outcome
        self._pause(work.team_id, outcome)
        if outcome.is_final:
            self._scheduler.finish(work, now, attempted=outcome.requested)
        elif outcome.state == DeliveryState.SENDING:
            self._scheduler.doubt(work, now + outcome.wait, now)
        elif outcome.is_undone:
            self._scheduler.give_back(work, now + max(outcome.wait, LOCKED_SECONDS), now)
        elif outcome.is_deferred and finish.attempt.key is not None:
            until = now + outcome.wait
            self._scheduler.defer(work, until, now, attempted=outcome.requested)
        else:
            due = now + outcome.wait
            self._scheduler.retry(work, due, now, attempted=outcome.requested)
        if finish.second_look_at is not None:
            due = self._clock.at(finish.second_look_at)
            self._scheduler.look_again(work.team_id, work.delivery_id, due)
        owned = self._workspaces.find(work.team_id)
        if owned is not None and work.delivery_id in owned.doubts:
            # The workspace was reloaded while this was in progress.
            self._reader.notice(work.team_id)
        _log(finish)

    def _pause(self, team_id: str, outcome: Outcome) -> None:
        now, owned = self._clock.monotonic(), self._workspaces.find(team_id)
        if outcome.pause is None or owned is None:
            return
        self._scheduler.pause(team_id, now + outcome.pause)
        until = self._clock.now() + timedelta(seconds=outcome.pause)
        if outcome.pause_reason is not None:
            self._scheduler.pause_lookups(team_id, now + outcome.pause)
            shown = {"team_id": team_id, "error": outcome.pause_reason, "until": until.isoformat()}
            logger.warning("a workspace is paused until Bellhop is installed again", extra=shown)
        self._tasks.start(self._store_pause(owned, team_id, until, outcome.pause_reason))

    async def _store_pause(
        self, owned: OwnedWorkspace, team_id: str, until: datetime, reason: str | None
    ) -> None:
        try:
            seq = await self._tasks.run(self._store.pause, team_id, until, reason)
        except DATABASE_UNAVAILABLE as error:
            log_failure("write of a pause", error)
            return
        if reason is not None:
            owned.dead_at = seq


def _log_stale(finish: Finish) -> None:
    extra = {
        "delivery": finish.attempt.delivery_id,
        "channel": finish.outcome.channel_id,
        "ts": finish.outcome.ts,
    }
    logger.warning("an outcome came too late", extra=extra)


def _log(finish: Finish) -> None:
    outcome, attempt = finish.outcome, finish.attempt
    level = logging.INFO if outcome.error is None else logging.WARNING
    extra = {
        "delivery": attempt.delivery_id,
        "channel": attempt.address,
        "error": outcome.error,
    }
    logger.log(level, "delivery %s", outcome.state, extra=extra)
