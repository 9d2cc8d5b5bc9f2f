"""States of deliveries and incidents, as people and the HTTP API see them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, get_args


class DeliveryState(StrEnum):
    """State of a delivery, as it is stored.

    SCHEDULED: due later, alone; people see it as waiting.
    HELD: due later, with others as one digest.
    UNKNOWN: Slack may have posted it or not.
    DIGESTED: covered by a digest, or by a later delivery with its key.
    """

    WAITING = "waiting"
    SCHEDULED = "scheduled"
    HELD = "held"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    MUTED = "muted"
    DIGESTED = "digested"


class IncidentState(StrEnum):
    """State of an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


State = Literal[
    "waiting",
    "held",
    "sending",
    "sent",
    "dead",
    "unknown",
    "cancelled",
    "expired",
    "muted",
    "digested",
]
STATES: tuple[State, ...] = get_args(State)
UNROUTED = "unrouted"
STATE_WORDS: Mapping[str, str] = {
    "waiting": "waiting",
    "held": "held until",
    "sending": "on its way",
    "sent": "sent",
    "dead": "failed",
    "unknown": "delivery not confirmed",
    "expired": "expired",
    "cancelled": "cancelled",
    "muted": "muted",
    "digested": "in a digest",
}
# Ended without a confirmed post; these can be retried.
FAILED_STATES: tuple[State, ...] = ("dead", "unknown")
OPEN_STATES = frozenset({"waiting", "held", "sending"})


def shown_state(stored: str) -> State:
    """Return the state under which people know a delivery, given the stored one."""
    if stored == "scheduled":
        return "waiting"
    return stored if stored in STATES else "unknown"
