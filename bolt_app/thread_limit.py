"""A limit on the threads that wait for the same thing, which leaves the others free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

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
