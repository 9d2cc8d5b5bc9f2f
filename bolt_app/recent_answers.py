"""A bounded cache of recent answers from Slack."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

from bolt_app.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentAnswers(Generic[K, V]):
    """Caches the latest `most` answers for a limited time.

    An answer to a question asked before a call of `forget` or `change` is returned but not cached,
    because it may be older than the event that they were called for.
    """

    def __init__(self, lifetime: timedelta, most: int, clock: Clock) -> None:
        self._lifetime = lifetime
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._forgotten = 0
        self._kept: OrderedDict[K, tuple[datetime, V]] = OrderedDict()

    def find(self, key: K) -> V | None:
        """Return the cached answer; None if it is too old or missing."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or self._clock() - kept[0] >= self._lifetime:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def ask(self, key: K, ask: Callable[[], V]) -> V:
        """Ask, and cache the answer. Errors of `ask` propagate and are not cached."""
        asked_at, forgotten = self._clock(), self._forgotten
        answer = ask()
        with self._lock:
            if forgotten == self._forgotten:
                self._kept[key] = asked_at, answer
                self._kept.move_to_end(key)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return answer

    def forget(self, matches: Callable[[K], bool]) -> None:
        """Drop the answers whose keys `matches` accepts."""
        with self._lock:
            self._forgotten += 1
            for key in list(filter(matches, self._kept)):
                del self._kept[key]

    def change(self, matches: Callable[[K], bool], change: Callable[[V], V]) -> None:
        """Change the answers whose keys `matches` accepts; they get no younger."""
        with self._lock:
            self._forgotten += 1
            for key in filter(matches, self._kept):
                asked_at, answer = self._kept[key]
                self._kept[key] = asked_at, change(answer)

    def __len__(self) -> int:
        return len(self._kept)
