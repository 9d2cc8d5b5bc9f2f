"""Limits on the threads that wait for the same thing, which leave the others free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

# How long a thread waits for room by default, because most waits are short.
PATIENCE_SECONDS = 0.1


class ThreadLimit:
    """Lets up to `most` threads of this process in at the same time."""

    def __init__(self, most: int, *, patience: float = PATIENCE_SECONDS) -> None:
        """Create it.

        Args:
            patience: how long a thread waits for room, in seconds.
        """
        self._room = BoundedSemaphore(most)
        self._patience = patience

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Yield whether there is room for this thread, until the context ends."""
        has_room = self._room.acquire(timeout=self._patience)
        try:
            yield has_room
        finally:
            if has_room:
                self._room.release()


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
