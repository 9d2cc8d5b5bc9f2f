"""Inputs and outputs of the scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class QueuedDelivery(NamedTuple):
    """A waiting delivery, as far as its order depends on it. Tuples sort by urgency, then id.

    Its expiry is left to the transaction that begins it, which knows the wall clock.

    Attributes:
        urgency: `rank.urgency_of` its rank and eligible time, by the owner's monotonic clock. One
            offset between wall and monotonic clock applies to a whole term of ownership, so that
            rows read before and after a clock jump keep their order. For the same reason the
            eligible times in a workspace never decrease: the intake takes the later of the wall
            clock and the latest one.
        lane_id: the queue of its destination.
        source: whose turn it takes: the source that its key belongs to, or else its sender's. Rows
            with the same key have the same source.
        rank: as it was accepted, without inheritance.
        key: deliveries with the same key in one lane never overtake each other.
        is_update: whether it updates the earlier message of its key, so that a later one can
            replace it.
        is_name: whether its lane's address is a name that must be resolved first.
    """

    urgency: float
    id: int
    lane_id: int
    source: str
    rank: int = 0
    key: str | None = None
    is_update: bool = False
    is_name: bool = False


class WorkKind(Enum):
    """The kinds of work.

    POST: begin the delivery in the database, then send it.
    LOOK: find out whether an attempt in doubt was posted; nothing is begun.
    RESOLVE: find the channel or person that a lane's name stands for.
    SECOND_LOOK: look for duplicates of a delivery that was posted again.
    """

    POST = "post"
    LOOK = "look"
    RESOLVE = "resolve"
    SECOND_LOOK = "second_look"


@dataclass(frozen=True, slots=True)
class Work:
    """A unit of work to begin now; its end must be reported to the scheduler exactly once.

    Attributes:
        lane_id: of the delivery; 0 for a second look, which blocks no lane.
        delivery_id: for RESOLVE, the most urgent delivery of the lane.
        absorbed: earlier deliveries with the same key that this update replaces; the transaction
            that begins it marks them as well.
    """

    kind: WorkKind
    team_id: str
    lane_id: int
    delivery_id: int
    absorbed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedPage:
    """Rows to read: the first waiting ones of one source in one lane, by urgency, then id.

    Attributes:
        is_name: as `QueuedDelivery` has it.
    """

    team_id: str
    lane_id: int
    source: str
    is_name: bool
