"""Ownership on PostgreSQL: a shard belongs to the session that holds its advisory lock."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import LiteralString

import psycopg

from bolt_app.db.models import SHARD_COUNT
from bolt_app.delays import Delays
from bolt_app.logs import describe_error
from bolt_app.notifications.delivery.balance import Balance, ShardLocks
from bolt_app.notifications.delivery.errors import SessionLostError
from bolt_app.notifications.delivery.lock_session import LockSession
from bolt_app.notifications.delivery.ownership import UNCHANGED, Changes, Ownership
from bolt_app.notifications.delivery.shard_locks import LOCK_CLASS, LOCKS, PRESENCE, as_signed
from bolt_app.notifications.queue.shards import OwnedShard

logger = logging.getLogger(__name__)

MOST_RECONNECT_SECONDS = 5.0

_ADD_ROWS: LiteralString = """
    INSERT INTO shards (number, token) SELECT number, '' FROM generate_series(0, %s) number
    ON CONFLICT DO NOTHING
"""
_ARRIVE: LiteralString = "SELECT pg_advisory_lock_shared(%s, %s)"
_DEPART: LiteralString = "SELECT pg_advisory_unlock_shared(%s, %s)"
_LOCK: LiteralString = (
    "SELECT number, pg_try_advisory_lock(%s, number) FROM unnest(%s::int[]) number"
)
_UNLOCK: LiteralString = "SELECT pg_advisory_unlock(%s, number) FROM unnest(%s::int[]) number"
_UNLOCK_ALL: LiteralString = "SELECT pg_advisory_unlock_all()"
# A begin of the last owner that is not committed keeps its row; the next step tries again.
_UPDATE_ROWS: LiteralString = """
    UPDATE shards SET token = %s WHERE number IN (
        SELECT number FROM shards WHERE number = ANY(%s) FOR NO KEY UPDATE SKIP LOCKED
    ) RETURNING number
"""


class PostgreSQLOwnership(Ownership):
    """Shards owned by one lock session, which is opened again after it is lost."""

    def __init__(self, address: str, delays: Delays, *, now: float) -> None:
        """Create it without a connection; the first step connects.

        Args:
            address: a URL for libpq, of a server or pool that keeps sessions.
            now: seconds on the clock that `step` gets.
        """
        self._address = address
        self._delays = delays
        self._session: LockSession | None = None
        self._lock_class = 0
        self._balance = Balance(delays)
        self._owned: dict[int, OwnedShard] = {}
        self._ended: list[OwnedShard] = []
        self._owner_seen_at = [now] * SHARD_COUNT
        self._step_at = float("-inf")
        self._failures = 0

    @property
    def owned(self) -> Mapping[int, OwnedShard]:
        """The shards owned now, by number."""
        return self._owned

    @property
    def next_at(self) -> float:
        """When `step` is due."""
        is_lost = self._session is not None and self._session.is_lost
        return float("-inf") if is_lost else self._step_at

    def unowned_seconds(self, now: float) -> float:
        """Return the longest time for which a shard has had no visible owner."""
        return now - min(self._owner_seen_at)

    async def step(self, now: float) -> Changes:
        """Read the locks, and gain or release shards; connect if the session is lost."""
        if now < self.next_at:
            return UNCHANGED
        self._step_at = now + self._delays.owner_poll
        try:
            gained = await self._exchange(self._session or await self._open(), now)
        except (SessionLostError, psycopg.Error, OSError) as error:
            await self._give_up(now, error.__cause__ or error)
            gained = []
        lost, self._ended = tuple(self._ended), []
        if gained:
            logger.info("shards gained", extra=_counts(gained, self._owned))
        return Changes(tuple(gained), lost)

    async def confirm(self, shard: OwnedShard) -> bool:
        """Return whether the session answers, and the shard is still held by it."""
        session = self._session
        if session is None or self._owned.get(shard.number) != shard:
            return False
        is_alive = await session.confirm()
        # It may have been released meanwhile.
        return is_alive and self._owned.get(shard.number) == shard

    async def leave(self) -> None:
        """Withdraw this worker's presence, then release everything."""
        session, self._session = self._session, None
        self._owned.clear()
        if session is None:
            return
        try:
            # First, so that the others' shares have room for the shards once they are free.
            await session.query(_DEPART, as_signed(self._lock_class), PRESENCE)
            await session.query(_UNLOCK_ALL)
        except SessionLostError:
            logger.info("the lock session had ended before the worker left")
        await session.close()

    async def _open(self) -> LockSession:
        self._session = session = await LockSession.open(self._address, self._delays)
        [[self._lock_class]] = await session.query(LOCK_CLASS)
        await session.query(_ADD_ROWS, SHARD_COUNT - 1)
        await session.query(_ARRIVE, as_signed(self._lock_class), PRESENCE)
        self._balance = Balance(self._delays)
        return session

    async def _exchange(self, session: LockSession, now: float) -> list[OwnedShard]:
        rows = await session.query(LOCKS, self._lock_class)
        owners = {number: pid for number, pid in rows if number < SHARD_COUNT}
        locks = ShardLocks(owners, sum(number == PRESENCE for number, _ in rows))
        plan = self._balance.plan(now, locks, session.pid)
        held = locks.of(session.pid).difference(plan.release)
        self._end(set(self._owned) - held)
        if plan.release:
            await session.query(_UNLOCK, as_signed(self._lock_class), list(plan.release))
        if plan.take:
            taken = await session.query(_LOCK, as_signed(self._lock_class), list(plan.take))
            held.update(number for number, is_locked in taken if is_locked)
        for number in held.union(owners):
            self._owner_seen_at[number] = now
        self._failures = 0
        return await self._write_tokens(session, held.difference(self._owned))

    async def _write_tokens(self, session: LockSession, numbers: set[int]) -> list[OwnedShard]:
        """Make the locked shards owned, except those with an uncommitted begin."""
        if not numbers:
            return []
        token = secrets.token_hex(16)
        rows = await session.query(_UPDATE_ROWS, token, list(numbers))
        gained = [OwnedShard(number, token) for [number] in rows]
        self._owned.update((shard.number, shard) for shard in gained)
        return gained

    def _end(self, numbers: Iterable[int]) -> None:
        """End ownership here, before other workers can see it end."""
        ended = [self._owned.pop(number) for number in numbers]
        self._ended += ended
        if ended:
            logger.info("shards released", extra=_counts(ended, self._owned))

    async def _give_up(self, now: float, error: BaseException) -> None:
        """End every ownership; reconnect at once after the first failure, then with backoff."""
        logger.warning(
            "no lock session, and no shards",
            extra={"error": describe_error(error), "lost": len(self._owned)},
        )
        self._ended += self._owned.values()
        self._owned.clear()
        session, self._session = self._session, None
        wait = self._delays.owner_poll * 2**self._failures if self._failures else 0
        self._step_at = now + min(wait, MOST_RECONNECT_SECONDS)
        self._failures += 1
        if session is not None:
            await session.close()


def _counts(changed: Iterable[OwnedShard], owned: Mapping[int, OwnedShard]) -> dict[str, object]:
    return {"shards": sorted(shard.number for shard in changed), "owned": len(owned)}
