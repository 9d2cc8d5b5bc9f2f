"""Limits on the threads that wait for the same thing, which leave the others free."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock, local

# How long a thread waits for room by default, because most waits are short.
PATIENCE_SECONDS = 0.1


class ThreadLimit:
    """Lets up to `most` threads of this process in at the same time.

    A thread that is in may enter again, without taking more room. While all that are in stay longer
    than a thread would wait, others are refused at once: waiting would hold them for nothing.
    """

    def __init__(
        self,
        most: int,
        *,
        patience: float = PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it.

        Args:
            patience: how long a thread waits for room, in seconds.
            monotonic: the clock for it.
        """
        self._room = BoundedSemaphore(most)
        self._patience = patience
        self._monotonic = monotonic
        self._entered_at = monotonic()
        self._thread = local()

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Yield whether there is room for this thread, until the context ends."""
        if getattr(self._thread, "is_inside", False):
            yield True
            return
        has_room = self._take_room()
        self._thread.is_inside = has_room
        try:
            yield has_room
        finally:
            self._thread.is_inside = False
            if has_room:
                self._room.release()

    def _take_room(self) -> bool:
        has_room = self._room.acquire(blocking=False)
        if not has_room and self._monotonic() - self._entered_at < self._patience:
            has_room = self._room.acquire(timeout=self._patience)
        if has_room:
            self._entered_at = self._monotonic()
        return has_room


class SlackWaits(ThreadLimit):
    """The limit of threads that wait for Slack while someone waits for them.

    Every call of such a thread takes room, so that a slow Slack leaves the other threads to
    requests that do not need it. Answers to people's clicks have room of their own, which lookups
    cannot take. Other threads, such as those that deliver, are not limited.
    """

    def __init__(self, most: int, *, most_answers: int, patience: float = PATIENCE_SECONDS) -> None:
        """Create it.

        Args:
            most_answers: threads that send answers to clicks.
            patience: how long a thread waits for room, in seconds.
        """
        super().__init__(most, patience=patience)
        self._answers = ThreadLimit(most_answers, patience=patience)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Mark this thread as one that someone waits for, until the context ends."""
        self._thread.is_web = True
        try:
            yield
        finally:
            self._thread.is_web = False

    @contextmanager
    def calling(self, *, is_answer: bool = False) -> Iterator[bool]:
        """Yield whether this thread may wait for Slack, until the context ends.

        Args:
            is_answer: whether the call answers a person's click.
        """
        if not getattr(self._thread, "is_web", False):
            yield True
            return
        room = self._answers if is_answer else self
        with room.enter() as has_room:
            yield has_room


class SharedThreadLimit:
    """Lets up to `most` threads of this process in at the same time, and fewer of each owner."""

    def __init__(self, most: int, *, most_of_one: int) -> None:
        """Create it.

        Args:
            most_of_one: threads of one owner.
        """
        self._most = most
        self._most_of_one = most_of_one
        self._lock = Lock()
        self._inside: Counter[str] = Counter()

    @contextmanager
    def enter(self, owner: str) -> Iterator[bool]:
        """Yield whether there is room for this thread of an owner, until the context ends."""
        has_room = self._take(owner)
        try:
            yield has_room
        finally:
            if has_room:
                self._give_back(owner)

    def _take(self, owner: str) -> bool:
        with self._lock:
            has_room = self._inside.total() < self._most and self._inside[owner] < self._most_of_one
            if has_room:
                self._inside[owner] += 1
            return has_room

    def _give_back(self, owner: str) -> None:
        with self._lock:
            self._inside[owner] -= 1
            # Without owners that have no thread.
            self._inside += Counter()
