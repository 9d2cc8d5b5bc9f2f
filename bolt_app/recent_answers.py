"""A bounded memory of what Slack said a moment ago."""

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
    """Keeps answers for a limited time, the latest `most` of them.

    An answer that was on its way while `forget` was called is returned but not kept: it may be
    older than what was to be forgotten for.
    """

    def __init__(self, lifetime: timedelta, most: int, clock: Clock) -> None:
        self._lifetime = lifetime
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._forgotten = 0
        self._kept: OrderedDict[K, tuple[datetime, V]] = OrderedDict()

    def find(self, key: K) -> V | None:
        """Return the answer; None where it is too old or missing."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or self._clock() - kept[0] >= self._lifetime:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def ask(self, key: K, ask: Callable[[], V]) -> V:
        """Ask, and keep the answer. Whatever `ask` raises is raised, and not kept."""
        asked_at, forgotten = self._clock(), self._forgotten
        answer = ask()
        with self._lock:
            if forgotten == self._forgotten:
                self._kept[key] = asked_at, answer
                self._kept.move_to_end(key)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return answer

    def forget(self, is_meant: Callable[[K], bool]) -> None:
        """Drop the answers whose keys `is_meant` accepts."""
        with self._lock:
            self._forgotten += 1
            for key in [one for one in self._kept if is_meant(one)]:
                del self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)
