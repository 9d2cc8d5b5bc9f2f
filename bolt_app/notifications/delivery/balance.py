"""Fair shares: the shards that a worker takes and releases, given the current locks.

Without I/O or clock. Each of n workers may hold ceil(64 / n) shards. Below that it takes free
shards at once; above it, it releases one after the other. Any worker takes a shard that stays free,
because a present worker may be unable to take shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bolt_app.db.models import SHARD_COUNT
from bolt_app.delays import Delays


@dataclass(frozen=True)
class ShardLocks:
    """Locks in the database at one moment.

    Attributes:
        owners: session ids by shard, for the shards that have an owner.
        sessions: how many workers are present, this one included.
    """

    owners: Mapping[int, int]
    sessions: int

    def of(self, session_id: int) -> set[int]:
        """Return the shards of one session."""
        return {number for number, owner in self.owners.items() if owner == session_id}


@dataclass(frozen=True)
class Plan:
    """Shards to try to take, in order of preference, and to release."""

    take: tuple[int, ...] = ()
    release: tuple[int, ...] = ()


class Balance:
    """One worker's view of free shards over time."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        # When each shard last had a visible owner, counted from the first call.
        self._owned_at: dict[int, float] = {}
        self._release_at = float("-inf")

    def plan(self, now: float, locks: ShardLocks, session_id: int) -> Plan:
        """Return the next step.

        Args:
            now: seconds on a monotonic clock.
            session_id: this worker's own.
        """
        for number in range(SHARD_COUNT):
            if number in locks.owners or number not in self._owned_at:
                self._owned_at[number] = now
        held = locks.of(session_id)
        share = -(-SHARD_COUNT // max(1, locks.sessions))
        free = self._free(locks, session_id)
        if free:
            return Plan(take=self._wanted(now, free, share - len(held)))
        return Plan(release=self._surplus(now, held, share))

    def _free(self, locks: ShardLocks, session_id: int) -> list[int]:
        """Return the free shards, rotated differently for each worker so that few collide."""
        rotated = ((session_id + step) % SHARD_COUNT for step in range(SHARD_COUNT))
        return [number for number in rotated if number not in locks.owners]

    def _wanted(self, now: float, free: list[int], room: int) -> tuple[int, ...]:
        within = free[: max(0, room)]
        unwanted = [
            number
            for number in free[len(within) :]
            if now - self._owned_at[number] >= self._delays.shard_free
        ]
        if unwanted:
            # A present worker takes no shards: releasing more would only move them around until
            # the database ends its session.
            self._release_at = now + self._delays.owner_silence
        return (*within, *unwanted)

    def _surplus(self, now: float, held: set[int], share: int) -> tuple[int, ...]:
        if len(held) <= share or now < self._release_at:
            return ()
        self._release_at = now + self._delays.shard_release
        return (max(held),)
