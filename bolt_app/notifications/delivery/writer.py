"""The writer: writes begins and outcomes, batched in transactions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.logs import describe_error
from bolt_app.notifications.delivery.store import MOST_BYTES, Begin, Committed, Finish, Store
from bolt_app.notifications.delivery.tasks import DATABASE_UNAVAILABLE_SECONDS

logger = logging.getLogger(__name__)

# Pause between two transactions, in which the next batch is collected. It ends when no attempt is
# being made: nothing can begin before the outcomes are written.
GATHER_SECONDS = 0.005

_Write = Callable[[Sequence[Finish], Sequence[Begin]], Committed]


class Writer:
    """Collects begins and outcomes while a transaction is running, and writes them with the next.

    Each one is reported once: to `committed`, or to `rejected` if the database cannot store it. An
    outcome whose commit was not confirmed is written again.
    """

    def __init__(
        self,
        store: Store,
        run: Callable[[_Write, Sequence[Finish], Sequence[Begin]], Awaitable[Committed]],
        *,
        is_current: Callable[[Finish], bool],
        committed: Callable[[Committed], None],
        rejected: Callable[[Sequence[Finish], Sequence[Begin]], None],
        lost: Callable[[Sequence[Begin]], None],
        notify: Callable[[str], None],
        room: Callable[[], int],
    ) -> None:
        """Create the writer.

        Args:
            room: returns how many bytes of content may begin: all of `MOST_BYTES` if no attempt is
                being made.
            run: runs a function in a thread.
            is_current: whether the workspace of an outcome still has the owner that began it.
            lost: takes begins whose commit was not confirmed.
            notify: wakes the owner of a workspace.
        """
        self._store = store
        self._run = run
        self._is_current = is_current
        self._committed = committed
        self._rejected = rejected
        self._lost = lost
        self._notify = notify
        self._room = room
        self._finishes: list[Finish] = []
        self._begins: list[Begin] = []
        self._is_writing = False
        self._next_at = float("-inf")
        self._all_ended = asyncio.Event()

    @property
    def is_needed(self) -> bool:
        """Whether `write` must be started: something is queued, and it is not running."""
        return bool(self._finishes or self._begins) and not self._is_writing

    def finish(self, *finishes: Finish) -> None:
        """Queue outcomes for the next transaction."""
        self._finishes += finishes
        if not self._is_attempting():
            self._all_ended.set()

    def begin(self, begin: Begin) -> None:
        """Queue a begin for the next transaction."""
        self._begins.append(begin)

    def drop_begins(self) -> None:
        """Drop the queued begins."""
        self._begins.clear()

    async def write(self) -> None:
        """Write until nothing is queued."""
        if self._is_writing:
            return
        self._is_writing = True
        loop = asyncio.get_running_loop()
        try:
            while self._finishes or self._begins:
                await self._gather(self._next_at - loop.time())
                finishes, self._finishes = self._finishes, []
                begins, self._begins = self._begins, []
                await self._write_together(finishes, begins)
                self._next_at = loop.time() + GATHER_SECONDS
        finally:
            self._is_writing = False

    async def _gather(self, seconds: float) -> None:
        self._all_ended.clear()
        if seconds > 0 and self._is_attempting():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._all_ended.wait()

    def _is_attempting(self) -> bool:
        return self._room() < MOST_BYTES

    async def _write_together(self, finishes: Sequence[Finish], begins: Sequence[Begin]) -> None:
        owned = [finish for finish in finishes if self._is_current(finish)]
        foreign = [finish for finish in finishes if not self._is_current(finish)]
        if owned or begins:
            commit = partial(self._store.commit, room=self._room())
            await self._commit(commit, owned, begins)
        if foreign:
            await self._commit(self._store.finish_for_others, foreign, [])
            for team_id in {finish.attempt.team_id for finish in foreign}:
                self._notify(team_id)

    async def _commit(
        self, write: _Write, finishes: Sequence[Finish], begins: Sequence[Begin]
    ) -> None:
        """Write a batch, or its items one by one if one of them cannot be written."""
        try:
            committed = await self._run(write, finishes, begins)
        except DATABASE_UNAVAILABLE as error:
            logger.warning("the database is not answering", extra={"error": describe_error(error)})
            self._finishes += finishes
            self._lost(begins)
            await asyncio.sleep(DATABASE_UNAVAILABLE_SECONDS)
        except Exception:
            if len(finishes) + len(begins) == 1:
                logger.exception("an outcome or a begin cannot be written")
                self._rejected(finishes, begins)
                return
            for finish in finishes:
                await self._commit(write, [finish], [])
            for begin in begins:
                await self._commit(write, [], [begin])
        else:
            self._committed(committed)
