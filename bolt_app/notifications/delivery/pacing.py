"""Rate limits in seconds (https://docs.slack.dev/apis/web-api/rate-limits).

The state of a limit is one moment: when all requests so far would have gone at the steady interval.
A request may go while that moment is less than the burst ahead (generic cell rate algorithm).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request each `interval` seconds, and up to `burst` at once after a quiet time."""

    interval: float
    burst: int = 1

    def used_up(self, at: float) -> float:
        """Return the moment of a limit whose whole burst was used at `at`."""
        return at + self.interval * self.burst

    def spend(self, moment: float, now: float) -> float:
        """Return the moment after one request more."""
        return max(now, moment) + self.interval

    def open_at(self, moment: float) -> float:
        """Return when the next request may go."""
        return moment - self.interval * (self.burst - 1)


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Limits of each workspace and lane.

    Attributes:
        workspace: posts into a workspace.
        lane: posts into a channel or to a person.
        in_flight: concurrent requests in one workspace.
        page: waiting rows in memory of each source in a lane.
    """

    workspace: RateLimit = RateLimit(60 / 300, burst=75)
    lane: RateLimit = RateLimit(1.0)
    in_flight: int = 8
    page: int = 4

    def used(self, attempts: Iterable[float]) -> int:
        """Return the most posts that there may have been since a moment.

        Args:
            attempts: seconds from that moment to the last post to each lane.
        """
        return sum(self.lane.burst + int(after / self.lane.interval) for after in attempts)

    def longest_burst(self) -> float:
        """Return the seconds without requests after which all bursts are available again."""
        return max(limit.interval * limit.burst for limit in (self.workspace, self.lane))
