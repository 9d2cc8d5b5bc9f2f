"""One read for all threads that wait for the same value.

Each caller gets a value read after its call, so it is never older than with a separate read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Shares reads between threads.

    Args:
        read: reads the value; an error is raised only for the caller that ran it.
    """

    def __init__(
        self, read: Callable[[], T], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest: tuple[float, T] | None = None

    def get(self) -> T:
        """Return a value read after this call, by this thread or another."""
        asked_at = self._monotonic()
        with self._lock:
            if self._latest is None or self._latest[0] <= asked_at:
                began_at = self._monotonic()
                self._latest = began_at, self._read()
            return self._latest[1]
