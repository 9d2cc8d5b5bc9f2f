"""A bounded cache of recent answers from Slack."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

from bolt_app.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(eq=False)
class _Question(Generic[K, V]):
    """A question without an answer, and the later events about its key."""

    key: K = field(repr=False)
    asked_at: datetime
    is_forgotten: bool = False
    changes: list[Callable[[V], V]] = field(default_factory=list)


class RecentAnswers(Generic[K, V]):
    """Caches the latest `most` answers for a limited time.

    `forget` and `change` also affect the caching of answers to questions that were asked before,
    because they may be older than the event. Other keys are not affected, because anyone may cause
    events.
    """

    def __init__(self, lifetime: timedelta, most: int, clock: Clock) -> None:
        self._lifetime = lifetime
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._asked: set[_Question[K, V]] = set()
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
        question: _Question[K, V] = _Question(key, self._clock())
        with self._lock:
            self._asked.add(question)
        try:
            answer = ask()
            self._keep(question, answer)
            return answer
        finally:
            with self._lock:
                self._asked.remove(question)

    def _keep(self, question: _Question[K, V], answer: V) -> None:
        with self._lock:
            if question.is_forgotten:
                return
            for change in question.changes:
                answer = change(answer)
            self._kept[question.key] = question.asked_at, answer
            self._kept.move_to_end(question.key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def forget(self, matches: Callable[[K], bool]) -> None:
        """Drop the answers whose keys `matches` accepts."""
        with self._lock:
            for question in self._asked:
                question.is_forgotten |= matches(question.key)
            for key in list(filter(matches, self._kept)):
                del self._kept[key]

    def change(self, matches: Callable[[K], bool], change: Callable[[V], V]) -> None:
        """Change the answers whose keys `matches` accepts; they get no younger."""
        with self._lock:
            for question in self._asked:
                if matches(question.key):
                    question.changes.append(change)
            for key in filter(matches, self._kept):
                asked_at, answer = self._kept[key]
                self._kept[key] = asked_at, change(answer)

    def __len__(self) -> int:
        return len(self._kept)
