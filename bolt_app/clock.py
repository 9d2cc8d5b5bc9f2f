"""The time, given to whoever needs it so that tests can give another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)
