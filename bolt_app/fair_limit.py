"""Rate limits over a sliding window that several sources share, per process.

A source may take at most `GREED` times what is left at that moment. So one source alone gets three
quarters, and each further one finds something left: no number of events of one source takes
everything from the others. Of two or three events the last is for another source, too.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from bolt_app.clock import Clock, utc_now

GREED = 3
MOST_KEYS = 10_000


def share_of_one(most: int) -> int:
    """Return how many of `most` events a source gets that is alone."""
    return min(math.ceil(most * GREED / (GREED + 1)), max(1, most - 1))


@dataclass(frozen=True)
class Refusal:
    """An event that the limit does not allow.

    Attributes:
        wait: seconds until the limit may allow it.
        had_share: whether the source has had an even share of four already.
    """

    wait: float
    had_share: bool


@dataclass
class _Taken:
    """The events of a key within the window, oldest first, and their number by source."""

    events: deque[tuple[datetime, str]] = field(default_factory=deque)
    by_source: Counter[str] = field(default_factory=Counter)

    def drop_before(self, moment: datetime) -> None:
        while self.events and self.events[0][0] <= moment:
            _, source = self.events.popleft()
            self.by_source[source] -= 1
            if not self.by_source[source]:
                del self.by_source[source]


class FairLimit:
    """Allows `most` events per key within any `window`, shared by the sources of the events."""

    def __init__(self, most: int, window: timedelta, *, clock: Clock = utc_now) -> None:
        self.most = most
        self._share = share_of_one(most)
        self._window = window
        self._clock = clock
        self._lock = Lock()
        # By key, the most recently used one last.
        self._taken: OrderedDict[str, _Taken] = OrderedDict()

    def take(self, key: str, sources: Collection[str]) -> Refusal | None:
        """Count an event for the source that has used least, if the limit allows it.

        Args:
            sources: those that the event serves; at least one.

        Returns: None if the event is allowed.
        """
        now = self._clock()
        with self._lock:
            taken = self._taken.setdefault(key, _Taken())
            self._taken.move_to_end(key)
            while len(self._taken) > MOST_KEYS:
                self._taken.popitem(last=False)
            taken.drop_before(now - self._window)
            source = min(sources, key=lambda one: taken.by_source[one])
            used = taken.by_source[source]
            is_greedy = used >= GREED * (self.most - len(taken.events)) or used >= self._share
            if not is_greedy:
                taken.events.append((now, source))
                taken.by_source[source] += 1
                return None
            wait = (taken.events[0][0] + self._window - now).total_seconds()
            return Refusal(wait, used * (GREED + 1) >= self.most)
