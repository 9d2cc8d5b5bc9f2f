"""States of deliveries and incidents, as people and the HTTP API see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

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
    "dead": "refused by Slack",
    "unknown": "outcome unknown",
    "expired": "expired",
    "cancelled": "cancelled",
    "muted": "muted",
    "digested": "in a digest",
}
INCIDENT_STATES = ("open", "acknowledged", "resolved")
# Ended without having been posted, as far as is known: what can be retried.
FAILED_STATES: tuple[State, ...] = ("dead", "unknown")
OPEN_STATES = frozenset({"waiting", "held", "sending"})


def shown_state(stored: str) -> State:
    """Return the state that people know a delivery in, by the stored one."""
    if stored == "scheduled":
        return "waiting"
    return stored if stored in STATES else "unknown"
