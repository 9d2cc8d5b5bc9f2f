"""The order of sources: by effective rank, then by the last turn, then by age."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, Protocol, TypeVar

from bolt_app.notifications.queue.rank import STEP_SECONDS, level_of

# Replaced entries are removed when there are more of them than of others, and than this.
_FEW = 64
# Levels checked per call; the others follow with the next.
_MOST_CHECKS = 256
# Level, turn, urgency and id of a delivery.
Position = tuple[int, int, float, int]


class Ordered(Protocol):
    """A member of an order.

    Attributes:
        position: in the order, or None.
        due: when its level is checked again, if it is to be checked.
    """

    position: Position | None
    due: float | None

    @property
    def turn(self) -> int:
        """The last turn of its source, which only grows."""

    @property
    def first(self) -> tuple[float, int] | None:
        """The urgency and id of its next delivery."""


_Member = TypeVar("_Member", bound=Ordered)


class TurnOrder(Generic[_Member]):
    """Members in order, at a logarithmic cost for each change of one.

    A later turn, or a less urgent delivery, is noticed when the member is the first.
    """

    def __init__(self) -> None:
        """Create it without members."""
        self._entries: list[tuple[Position, int, _Member]] = []
        self._checks: list[tuple[float, int, _Member]] = []
        self._ticket = itertools.count()
        self._most = _FEW

    def __bool__(self) -> bool:
        return bool(self._entries)

    def place(self, member: _Member, now: float) -> None:
        """Add a member, or note that it has a more urgent delivery."""
        first = member.first
        if first is None:
            member.position = None
            return
        urgency, delivery_id = first
        self._check_later(member, urgency, now)
        position = (level_of(urgency, now), member.turn, urgency, delivery_id)
        if position != member.position:
            member.position = position
            heapq.heappush(self._entries, (position, next(self._ticket), member))
            self._compact()

    def best(self, now: float) -> _Member | None:
        """Return the first member, which remains in the order."""
        self._check(now)
        while self._entries:
            position, _, member = self._entries[0]
            if member.position is not position:
                heapq.heappop(self._entries)
                continue
            self.place(member, now)
            if member.position is position:
                return member
        return None

    def _check_later(self, member: _Member, urgency: float, now: float) -> None:
        """Check the level of a member when its delivery has waited another whole minute."""
        steps = (now - urgency) // STEP_SECONDS + 1
        due = urgency + STEP_SECONDS * steps
        if member.due is None or due < member.due:
            member.due = due
            heapq.heappush(self._checks, (due, next(self._ticket), member))

    def _check(self, now: float) -> None:
        members: list[_Member] = []
        while self._checks and self._checks[0][0] <= now and len(members) < _MOST_CHECKS:
            due, _, member = heapq.heappop(self._checks)
            if member.due == due:
                member.due = None
                members.append(member)
        for member in members:
            self.place(member, now)

    def _compact(self) -> None:
        if len(self._entries) > self._most:
            self._entries = [entry for entry in self._entries if entry[2].position is entry[0]]
            heapq.heapify(self._entries)
            self._most = 2 * len(self._entries) + _FEW
