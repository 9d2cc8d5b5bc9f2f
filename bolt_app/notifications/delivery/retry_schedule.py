"""The retry schedule: the wait after a failed attempt, and the most internal errors.

`Delays` has the first and the longest wait; `RETRY_HOURS` ends the attempts.
"""

from __future__ import annotations

from random import SystemRandom

from bolt_app.delays import Delays

# Consecutive internal errors that end a delivery, so that others in its lane continue.
MOST_INTERNAL_ERRORS = 5
_RANDOM = SystemRandom()


def backoff(attempts: int, delays: Delays) -> float:
    """Return seconds to wait after a number of attempts: doubled each time, with 20 % jitter."""
    doubled = delays.first_retry * 2.0 ** min(max(attempts, 1) - 1, 20)
    wait = min(delays.longest_retry, doubled) * _RANDOM.uniform(0.8, 1.2)
    # The precision of stored timestamps.
    return round(wait, 6)
