"""The order of deliveries: by rank, one step better for each minute waited.

All items age at the same speed, so the order of two of them never changes: it is a fixed number,
the `urgency`, which the database can keep and index.
"""

from __future__ import annotations

from collections.abc import Mapping

STEP_SECONDS = 60.0
# Rank of a severity; an explicit priority replaces it.
RANKS: Mapping[str, int] = {"info": 0, "success": 0, "warning": -1, "error": -2, "critical": -5}
URGENT_RANK = RANKS["critical"]
# Waiting makes nothing as urgent as a critical message before a day has passed: otherwise the
# backlog of a long flood would go first.
URGENT_LEAD_SECONDS = 86_400.0
_URGENT_STEPS = URGENT_RANK - URGENT_LEAD_SECONDS / STEP_SECONDS
# Sources take turns among items that have waited long enough to be as good as this.
_BEST_BY_AGE = URGENT_RANK + 1


def rank_of(priority: int | None, severity: str | None) -> int:
    """Return the rank of a notification: the lowest goes first.

    Args:
        priority: as the sender gave it, higher first; None or 0 where none was given.
        severity: one of `RANKS`; None counts as `info`.
    """
    if priority:
        return -priority
    return RANKS.get(severity or "info", 0)


def urgency_of(rank: int, eligible_at: float) -> float:
    """Return the place in the order: the lowest goes first.

    Args:
        rank: the lowest goes first; up to `URGENT_RANK` it goes ahead of everything that has
            waited less than a day.
        eligible_at: when the delivery was accepted, or its `send_at`, in seconds of any clock; all
            compared values use the same one.
    """
    lead = URGENT_LEAD_SECONDS if rank <= URGENT_RANK else 0.0
    return eligible_at + STEP_SECONDS * rank - lead


def level_of(urgency: float, now: float) -> int:
    """Return the effective rank now, at which sources take turns: the lowest goes first."""
    # Only whole minutes count.
    steps = -((now - urgency) // STEP_SECONDS)
    if steps <= _URGENT_STEPS:
        return int(_URGENT_STEPS)
    return max(_BEST_BY_AGE, int(steps))
