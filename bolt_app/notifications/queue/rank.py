"""The order of deliveries: by rank, improved by one step for each minute of waiting.

All deliveries age at the same speed, so the order of two of them never changes: it is a fixed
number, the `urgency`, which the database stores and indexes.
"""

from __future__ import annotations

from collections.abc import Mapping

from bolt_app.severity import Severity

STEP_SECONDS = 60.0
# Rank of a severity; an explicit priority replaces it.
RANKS: Mapping[Severity, int] = {
    Severity.INFO: 0,
    Severity.SUCCESS: 0,
    Severity.WARNING: -1,
    Severity.ERROR: -2,
    Severity.CRITICAL: -5,
}
URGENT_RANK = RANKS[Severity.CRITICAL]
# Messages of the Slack-compatible Web API, and their changes: first in, first out.
MESSAGE_RANK = 0
# For a day, waiting makes no delivery as urgent as a critical one: otherwise the backlog of a long
# flood would go first.
URGENT_LEAD_SECONDS = 86_400.0
_URGENT_STEPS = URGENT_RANK - URGENT_LEAD_SECONDS / STEP_SECONDS
# Sources take turns among deliveries that have waited long enough to reach this rank.
_BEST_BY_AGE = URGENT_RANK + 1


def rank_of(priority: int | None, severity: Severity | None) -> int:
    """Return the rank of a notification: the lowest goes first.

    Args:
        priority: the sender's, higher first; None or 0 if not given.
        severity: None counts as `INFO`.
    """
    if priority:
        return -priority
    return RANKS[severity or Severity.INFO]


def urgency_of(rank: int, eligible_at: float) -> float:
    """Return the position in the order: the lowest goes first.

    Args:
        rank: the lowest goes first; up to `URGENT_RANK` it goes ahead of everything that has
            waited less than a day.
        eligible_at: time of acceptance, or `send_at`, in seconds of any clock; compared values must
            use the same one.
    """
    return eligible_at + _offset(rank)


def eligible_at(rank: int, urgency: float) -> float:
    """Return the time from which a delivery has its urgency."""
    return urgency - _offset(rank)


def _offset(rank: int) -> float:
    lead = URGENT_LEAD_SECONDS if rank <= URGENT_RANK else 0.0
    return STEP_SECONDS * rank - lead


def level_of(urgency: float, now: float) -> int:
    """Return the effective rank now, at which sources take turns: the lowest goes first."""
    # Only whole minutes count.
    steps = -((now - urgency) // STEP_SECONDS)
    if steps <= _URGENT_STEPS:
        return int(_URGENT_STEPS)
    return max(_BEST_BY_AGE, int(steps))
