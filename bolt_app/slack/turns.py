"""Turns of requests that compute.

Threads that compute at the same time take the interpreter's lock from one another, and all of them
finish late. One after the other, most finish early; a slow request delays each other one by up to
`TURN_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# The previous request may be waiting for Slack or the database.
TURN_SECONDS = 0.02


class Turns:
    """Runs requests one after the other, unless one takes long."""

    def __init__(self) -> None:
        self._lock = Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the previous request, up to `TURN_SECONDS`."""
        has_turn = self._lock.acquire(timeout=TURN_SECONDS)
        try:
            yield
        finally:
            if has_turn:
                self._lock.release()
