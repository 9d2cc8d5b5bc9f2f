"""Turns of requests that compute.

Threads that compute at the same time take the interpreter's lock from one another, and each of them
finishes late. One after the other, most finish early and none later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# The request before may wait for Slack or the database: nobody waits for it any longer.
TURN_SECONDS = 0.02


class Turns:
    """Lets requests compute one after the other, as long as none of them takes long."""

    def __init__(self) -> None:
        self._lock = Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the request before, up to `TURN_SECONDS`."""
        has_turn = self._lock.acquire(timeout=TURN_SECONDS)
        try:
            yield
        finally:
            if has_turn:
                self._lock.release()
