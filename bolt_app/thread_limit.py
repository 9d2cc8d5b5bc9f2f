"""A limit on the threads that wait for the same thing, which leaves the others free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

# A thread is given this long to find room, because most waits are short.
PATIENCE_SECONDS = 0.1


class ThreadLimit:
    """Lets up to `most` threads of this process in at the same time."""

    def __init__(self, most: int) -> None:
        self._room = BoundedSemaphore(most)

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Yield whether there is room for this thread, until the context ends."""
        has_room = self._room.acquire(timeout=PATIENCE_SECONDS)
        try:
            yield has_room
        finally:
            if has_room:
                self._room.release()
