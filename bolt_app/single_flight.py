"""One read for all threads that wait for the same answer.

Each gets what was read after it asked, so that nothing is seen any later than by reading alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Reads for several threads at once.

    Args:
        read: reads what is to be known; what it raises, whoever made it read gets.
    """

    def __init__(
        self, read: Callable[[], T], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest: tuple[float, T] | None = None

    def get(self) -> T:
        """Return what was read since this was called, by this thread or another."""
        asked_at = self._monotonic()
        with self._lock:
            if self._latest is None or self._latest[0] <= asked_at:
                began_at = self._monotonic()
                self._latest = began_at, self._read()
            return self._latest[1]
