"""Ownership of shards: the interface that the delivery worker uses on both databases.

The scheduling loop calls `step` whenever `next_at` is reached, and applies the changes:

    changes = await ownership.step(monotonic())
    for shard in changes.lost: ...    # forget its workspaces; nothing new begins for them
    for shard in changes.gained: ...  # load its workspaces from the database

Locks decide the owner, and tokens protect the rows from an owner that has not noticed its loss:
each begin compares the token in the shard's row in its own transaction, and locks the row FOR
SHARE, so that the next acquisition waits until the begin is committed. Each request to Slack that
changes something is preceded by `confirm`. At shutdown, begin no more work, call `leave`, and then
finish the requests in flight: a finish needs no ownership.

It belongs to one asyncio loop, except `unowned_seconds`, which is thread-safe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from bolt_app.notifications.queue.shards import OwnedShard, shard_of


@dataclass(frozen=True)
class Changes:
    """The changes of ownership by one step.

    A shard that was lost and gained again is in both, with different tokens: process `lost` first.
    """

    gained: tuple[OwnedShard, ...] = ()
    lost: tuple[OwnedShard, ...] = ()


UNCHANGED = Changes()


class Ownership(ABC):
    """The shards that this process owns.

    The constructor opens nothing: the first step opens the connection or file, in the working
    process, after any fork.
    """

    @property
    @abstractmethod
    def owned(self) -> Mapping[int, OwnedShard]:
        """The shards owned now, by number."""

    @property
    @abstractmethod
    def next_at(self) -> float:
        """When `step` is due, on the clock of its `now`; an earlier call does nothing.

        It is due immediately after `confirm` has found that everything is lost.
        """

    @abstractmethod
    async def step(self, now: float) -> Changes:
        """Show that the scheduling loop is alive, and gain or release shards.

        Takes one round trip to the database, at most some seconds while it does not answer.

        Args:
            now: seconds on a monotonic clock.

        Returns: the differences, in `lost` also those of a connection that broke meanwhile. While
            the database does not answer nothing is owned, and later steps connect again.

        Raises:
            OwnershipError: the setup does not allow safe ownership; the process should end.
        """

    @abstractmethod
    async def confirm(self, shard: OwnedShard) -> bool:
        """Return whether the shard is still owned, checked now: call it before each request.

        Concurrent callers share one round trip, which begins after all of their calls. No answer
        within `Delays.owner_answer` means that everything is lost.
        """

    @abstractmethod
    async def leave(self) -> None:
        """Release everything, so that other workers continue at once. `step` must not follow."""

    @abstractmethod
    def unowned_seconds(self, now: float) -> float:
        """Return the longest time for which a shard has had no visible owner, here or elsewhere.

        It also grows while this process cannot read the owners, or does not step.
        """

    def owner_of(self, team_id: str) -> OwnedShard | None:
        """Return the owned shard of a workspace, or None if it is not owned here."""
        return self.owned.get(shard_of(team_id))
