"""An incident as its messages show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Person:
    """Somebody who answered: their name and picture where they linked their profile."""

    user_id: str
    name: str | None = None
    image_url: str | None = None


@dataclass(frozen=True)
class ShownIncident:
    """An incident as its messages show it."""

    state: str
    state_at: datetime
    state_by: Person | None
    assigned_to: Person | None
    snoozed_until: datetime | None
    snoozed_by: Person | None
    muted_by: Person | None
    changed_at: datetime
