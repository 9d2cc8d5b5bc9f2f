"""The owner's clock: the database's timestamps on the monotonic clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bolt_app.clock import Clock

# Tolerated difference between the clocks of machines.
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
        """Return a moment, at most `longest` seconds ahead; 0 for None.

        A moment further ahead was written while a clock was wrong.
        """
        if moment is None:
            return 0.0
        now = self.monotonic()
        return now + min(max(self.at(moment) - now, 0.0), longest)

    def urgency(self, stored: int) -> float:
        """Return a stored urgency on the monotonic clock, with the same offset for all rows."""
        return stored / 1000 + self._began_with

    def was_set_back(self) -> bool:
        """Whether the wall clock was set back since the last call."""
        before, self._seen = self._seen, self._offset()
        return self._seen > before + TOLERANCE_SECONDS

    def _offset(self) -> float:
        return self.monotonic() - self.now().timestamp()
