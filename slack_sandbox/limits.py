"""Slack's rate limits: for each method and workspace, and for each channel when posting.

See https://docs.slack.dev/apis/web-api/rate-limits. Slack guarantees a minimum number of calls per
minute and does not document its algorithm; the sandbox uses a token bucket that holds one minute of
calls. Posting refills one message per second for each channel, with a short burst.
"""

from __future__ import annotations

import enum
import math
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from slack_sandbox.errors import RateLimitedError


class Tier(enum.Enum):
    """The rate-limit tiers of Slack's Web API methods."""

    TWO = "tier 2"
    THREE = "tier 3"
    FOUR = "tier 4"
    POSTING = "posting"
    SPECIAL = "special"


@dataclass
class RateLimits:
    """Accepted calls per minute and method. All numbers can be changed at run time."""

    clock: Callable[[], float]
    enabled: bool = True
    per_minute: dict[Tier, int] = field(
        default_factory=lambda: {
            Tier.TWO: 20,
            Tier.THREE: 50,
            Tier.FOUR: 100,
            Tier.SPECIAL: 600,
        }
    )
    posts_per_second: float = 1.0
    posting_burst: int = 4
    posts_per_minute: int = 300
    """Limit of ``chat.postMessage`` for a whole workspace."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[Hashable, _Bucket] = {}

    def clear(self) -> None:
        """Refill all buckets."""
        with self._lock:
            self._buckets.clear()

    def spend_call(self, method: str, tier: Tier, owner: str) -> None:
        """Count a call of ``method`` for the workspace ``owner``, or raise RateLimitedError."""
        if tier is Tier.POSTING:
            return
        number = self.per_minute[tier]
        self._spend(((method, owner), number / 60, number))

    def spend_post(self, owner: str, channel_id: str) -> None:
        """Count a message into a channel, or raise RateLimitedError."""
        self._spend(
            (("channel", channel_id), self.posts_per_second, self.posting_burst),
            (("posts", owner), self.posts_per_minute / 60, self.posts_per_minute),
        )

    def _spend(self, *claims: tuple[Hashable, float, int]) -> None:
        if not self.enabled:
            return
        now = self.clock()
        with self._lock:
            buckets = [self._bucket(key, size, now) for key, _, size in claims]
            waits = [
                bucket.refill(now, rate, size)
                for bucket, (_, rate, size) in zip(buckets, claims, strict=True)
            ]
            if max(waits) > 0:
                raise RateLimitedError(max(1, math.ceil(max(waits))))
            for bucket in buckets:
                bucket.level -= 1

    def _bucket(self, key: Hashable, size: int, now: float) -> _Bucket:
        return self._buckets.setdefault(key, _Bucket(float(size), now))


@dataclass
class _Bucket:
    level: float
    filled_at: float

    def refill(self, now: float, rate: float, size: int) -> float:
        """Refill up to ``now``. Returns the seconds until the next call is allowed, or 0."""
        self.level = min(float(size), self.level + (now - self.filled_at) * rate)
        self.filled_at = now
        # The margin protects a caller that waits exactly Retry-After from rounding errors.
        return 0.0 if self.level >= 1 - 1e-9 else (1 - self.level) / rate
