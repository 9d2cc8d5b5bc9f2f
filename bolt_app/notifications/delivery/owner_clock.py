"""The owner's clock: moments of the database on a clock that nobody can set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bolt_app.clock import Clock

# The machines' clocks need not agree better.
TOLERANCE_SECONDS = 2.0


class OwnerClock:
    """Converts moments to seconds on the monotonic clock of this process, and back."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float]) -> None:
        self.now = clock
        self.monotonic = monotonic
        self._began_with = self._seen = self._offset()

    def at(self, moment: datetime) -> float:
        """Return a moment on the monotonic clock."""
        return self.monotonic() + (moment - self.now()).total_seconds()

    def at_most(self, moment: datetime | None, longest: float) -> float:
        """Return a moment that is at most so many seconds ahead; 0 for none.

        One that is further ahead was written while a clock was wrong.
        """
        if moment is None:
            return 0.0
        now = self.monotonic()
        return now + min(max(self.at(moment) - now, 0.0), longest)

    def urgency(self, stored: int) -> float:
        """Return a stored urgency on the monotonic clock, by the same offset for all."""
        return stored / 1000 + self._began_with

    def was_set_back(self) -> bool:
        """Whether the wall clock was set back since the last time this was asked."""
        before, self._seen = self._seen, self._offset()
        return self._seen > before + TOLERANCE_SECONDS

    def _offset(self) -> float:
        return self.monotonic() - self.now().timestamp()
