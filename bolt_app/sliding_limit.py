"""Rate limits over a sliding window, per process."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from threading import Lock

from bolt_app.clock import Clock, utc_now

MOST_KEYS = 10_000


class SlidingLimit:
    """Allows `most` events per key within any `window`."""

    def __init__(self, most: int, window: timedelta, *, clock: Clock = utc_now) -> None:
        self._most = most
        self._window = window
        self._clock = clock
        self._lock = Lock()
        # Times of events by key, the most recently used key last.
        self._taken: OrderedDict[str, deque[datetime]] = OrderedDict()

    def take(self, key: str) -> float:
        """Count an event if the limit allows it.

        Returns: 0 if it does, else the seconds until it will.
        """
        now = self._clock()
        with self._lock:
            taken = self._taken.setdefault(key, deque())
            self._taken.move_to_end(key)
            while len(self._taken) > MOST_KEYS:
                self._taken.popitem(last=False)
            while taken and now - taken[0] >= self._window:
                taken.popleft()
            if len(taken) < self._most:
                taken.append(now)
                return 0.0
            return (taken[0] + self._window - now).total_seconds()
