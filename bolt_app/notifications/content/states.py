"""States of deliveries and incidents, as people and the HTTP API see them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


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


class ShownState(StrEnum):
    """State of a delivery as people and the HTTP API see it; SCHEDULED is shown as WAITING."""

    WAITING = "waiting"
    HELD = "held"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    MUTED = "muted"
    DIGESTED = "digested"


class StateFilter(StrEnum):
    """A state to search for: that of a delivery, or UNROUTED for notifications without any."""

    WAITING = ShownState.WAITING
    HELD = ShownState.HELD
    SENDING = ShownState.SENDING
    SENT = ShownState.SENT
    DEAD = ShownState.DEAD
    UNKNOWN = ShownState.UNKNOWN
    CANCELLED = ShownState.CANCELLED
    EXPIRED = ShownState.EXPIRED
    MUTED = ShownState.MUTED
    DIGESTED = ShownState.DIGESTED
    UNROUTED = "unrouted"


STATE_WORDS: Mapping[str, str] = {
    ShownState.WAITING: "waiting",
    ShownState.HELD: "held until",
    ShownState.SENDING: "on its way",
    ShownState.SENT: "sent",
    ShownState.DEAD: "failed",
    ShownState.UNKNOWN: "delivery not confirmed",
    ShownState.EXPIRED: "expired",
    ShownState.CANCELLED: "cancelled",
    ShownState.MUTED: "muted",
    ShownState.DIGESTED: "in a digest",
}
# The states of a message that is in Slack, or may be.
POSTED_STATES = frozenset({DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.UNKNOWN})
# Ended without a confirmed post; these can be retried.
FAILED_STATES = (ShownState.DEAD, ShownState.UNKNOWN)
OPEN_STATES = frozenset({ShownState.WAITING, ShownState.HELD, ShownState.SENDING})
_SHOWN = {state.value: state for state in ShownState} | {
    DeliveryState.SCHEDULED.value: ShownState.WAITING
}


def shown_state(stored: str) -> ShownState:
    """Return the state under which people know a delivery, given the stored one."""
    return _SHOWN.get(stored, ShownState.UNKNOWN)
