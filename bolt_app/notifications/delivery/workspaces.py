"""The workspaces that this process owns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime

from bolt_app.notifications.delivery.work import QueuedDelivery
from bolt_app.notifications.queue.shards import OwnedShard


@dataclass
class OwnedWorkspace:
    """A workspace, from the acquisition of its shard until that is lost.

    Attributes:
        seq: the number of the latest known change.
        acquired_at: on the monotonic clock.
        is_scheduled: whether it is in the scheduler, or is being loaded into it.
        is_known: whether it is in the scheduler.
        seen: the lanes and sources loaded so far; None after loading.
        dead_at: the number of the latest change when it was paused because its installation is
            dead; None: it is not.
        listed_at: of the latest channel listing by which names were resolved.
        doubts: deliveries that an earlier owner was sending, by id.
        resolving: lanes with due held deliveries whose names are being resolved.
    """

    shard: OwnedShard
    seq: int
    acquired_at: float
    is_scheduled: bool = False
    is_known: bool = False
    seen: set[tuple[int, str]] | None = None
    dead_at: int | None = None
    listed_at: datetime | None = None
    doubts: dict[int, QueuedDelivery] = field(default_factory=dict)
    resolving: set[int] = field(default_factory=set)


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
        """Return a workspace, or None if it is not owned."""
        return self._owned.get(team_id)

    def of_shard(self, number: int) -> Set[str]:
        """Return the ids of a shard's workspaces."""
        return frozenset(self._of_shard[number])

    def sum_of(self, number: int) -> int:
        """Return the sum of the known change numbers in a shard."""
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
