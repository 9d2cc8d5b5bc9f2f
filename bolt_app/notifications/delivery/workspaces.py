"""The workspaces that this process owns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime

from bolt_app.notifications.queue.shards import OwnedShard


@dataclass
class OwnedWorkspace:
    """A workspace, from the acquisition of its shard until that is lost.

    Attributes:
        seq: the number of the latest change that is known.
        acquired_at: on the monotonic clock.
        is_scheduled: whether it has, or will have, a place in the scheduler.
        is_known: whether the scheduler knows it.
        seen: while its pages are loaded: the lanes and sources that are; else None.
        is_dead: whether it is paused, because its installation is dead.
        listed_at: of the latest listing of channels by which names were resolved.
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


class Workspaces:
    """Owned workspaces by id, and by shard."""

    def __init__(self) -> None:
        self._owned: dict[str, OwnedWorkspace] = {}
        self._of_shard: dict[int, set[str]] = defaultdict(set)

    def __contains__(self, team_id: str) -> bool:
        return team_id in self._owned

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._owned))

    def find(self, team_id: str) -> OwnedWorkspace | None:
        """Return a workspace, where it is owned."""
        return self._owned.get(team_id)

    def of_shard(self, number: int) -> Set[str]:
        """Return the ids of a shard's workspaces."""
        return frozenset(self._of_shard[number])

    def sum_of(self, number: int) -> int:
        """Return the sum of the numbers that are known in a shard."""
        return sum(self._owned[team_id].seq for team_id in self._of_shard[number])

    def add(self, team_id: str, owned: OwnedWorkspace) -> None:
        """Add a workspace."""
        self._owned[team_id] = owned
        self._of_shard[owned.shard.number].add(team_id)

    def remove(self, team_id: str) -> bool:
        """Remove a workspace; return whether it was owned."""
        owned = self._owned.pop(team_id, None)
        if owned is not None:
            self._of_shard[owned.shard.number].discard(team_id)
        return owned is not None
