"""Ownership of shards: the interface that the delivery worker uses on both databases.

The scheduling loop calls `step` whenever `next_at` has come, and acts on the changes:

    changes = await ownership.step(monotonic())
    for shard in changes.lost: ...    # forget its workspaces; nothing new begins for them
    for shard in changes.gained: ...  # load its workspaces from the database

Locks decide the owner, and tokens protect the rows from an owner that has not noticed its loss:
each begin compares the token in the shard's row in its own transaction, and locks the row FOR
SHARE, so that the next acquisition waits until the begin is committed. Each request to Slack that
changes something is preceded by `confirm`. At shutdown, stop beginning, call `leave`, and then
finish the requests that are under way: a finish needs no ownership.

All of it belongs to one asyncio loop, but for `unowned_seconds`, which any thread may call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from bolt_app.notifications.queue.shards import OwnedShard, shard_of


class OwnershipError(Exception):
    """The setup cannot keep two workers from owning one shard; the text says how to change it."""


@dataclass(frozen=True)
class Changes:
    """The difference that one step made.

    A shard that was lost and gained again in between is in both, with different tokens: process
    `lost` first.
    """

    gained: tuple[OwnedShard, ...] = ()
    lost: tuple[OwnedShard, ...] = ()


UNCHANGED = Changes()


class Ownership(ABC):
    """The shards that this process owns.

    Creating one does nothing: connection or file are opened by the first step, and so in the
    process that works, after any fork.
    """

    @property
    @abstractmethod
    def owned(self) -> Mapping[int, OwnedShard]:
        """The shards owned now, by number."""

    @property
    @abstractmethod
    def next_at(self) -> float:
        """When `step` has something to do, on the clock of its `now`; before that it does nothing.

        Immediately after `confirm` has found that everything is lost.
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
        """Return whether the shard is still owned, by asking now: the check before each request.

        Callers that ask at the same time share one round trip, which begins after all of them have
        asked. No answer in `Delays.owner_answer` means that everything is lost.
        """

    @abstractmethod
    async def leave(self) -> None:
        """Release everything, so that other workers continue at once. `step` must not follow."""

    @abstractmethod
    def unowned_seconds(self, now: float) -> float:
        """Return for how long some shard has not been seen to have an owner, here or elsewhere.

        The longest of all shards; it also grows while this process cannot see, or does not step.
        """

    def owner_of(self, team_id: str) -> OwnedShard | None:
        """Return the owned shard of a workspace, or None where it is not owned here."""
        return self.owned.get(shard_of(team_id))
