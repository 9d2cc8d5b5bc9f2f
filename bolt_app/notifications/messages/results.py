"""Results of deliveries that a request waits for, in the thread of the request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import bindparam, exists, or_, select

from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import IS_SENDING, IS_WAITING, Delivery
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.thread_limit import ThreadLimit

# Between two reads; most messages take a tenth of a second or two, Slack's answer included.
POLL_SECONDS = 0.02
_OPEN = (DeliveryState.WAITING, DeliveryState.SENDING)
_RESULT = PreparedSelect(
    select(Delivery.state, Delivery.channel_id, Delivery.ts, Delivery.error).where(
        Delivery.id == bindparam("delivery_id")
    )
)
_PLACE = select(Delivery.team_id, Delivery.lane_id, Delivery.state).where(
    Delivery.id == bindparam("delivery_id")
)
_IN_LANE = (Delivery.lane_id == bindparam("lane_id"), Delivery.id < bindparam("delivery_id"))
# With literal states, so that both databases use the partial indexes.
_HAS_EARLIER = select(
    or_(
        exists().where(*_IN_LANE, IS_WAITING),
        exists().where(*_IN_LANE, Delivery.team_id == bindparam("team_id"), IS_SENDING),
    )
)


@dataclass(frozen=True)
class MessageResult:
    """The result of a delivery that has ended.

    Attributes:
        error: Slack's code; None if it was sent.
    """

    channel_id: str | None = None
    ts: str | None = None
    error: str | None = None


class MessageResults:
    """Waits for the results of deliveries, for a limited time and in a limited number of threads.

    The process that delivers may be another one: only the database knows the result.
    """

    def __init__(
        self,
        database: Database,
        *,
        seconds: float,
        most: int,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it.

        Args:
            seconds: the longest wait; 0: none waits.
            most: threads of this process that may wait at the same time.
            pause: sleeps for a number of seconds.
            monotonic: returns seconds on a monotonic clock.
        """
        self._database = database
        self._seconds = seconds
        self._room = ThreadLimit(most, patience=0)
        self._pause = pause
        self._monotonic = monotonic

    def wait(self, delivery_id: int) -> MessageResult | None:
        """Wait for the result of a delivery that is the first in its lane.

        Returns: None if it is not the first, did not end in time, or too many requests wait.
        """
        if self._seconds <= 0:
            return None
        with self._room.enter() as has_room:
            ends = self._monotonic() + self._seconds
            if not has_room or not self._is_first(delivery_id):
                return None
            return self._poll(delivery_id, ends)

    def _poll(self, delivery_id: int, ends: float) -> MessageResult | None:
        while True:
            rows = self._database.fetch(_RESULT, {"delivery_id": delivery_id})
            if not rows:
                return None
            [row] = rows
            if row.state not in _OPEN:
                is_sent = row.state == DeliveryState.SENT
                return MessageResult(row.channel_id, row.ts, None if is_sent else row.error)
            left = ends - self._monotonic()
            if left <= 0:
                return None
            self._pause(min(POLL_SECONDS, left))

    def _is_first(self, delivery_id: int) -> bool:
        """Whether a delivery is due, and nothing is before it in its lane."""
        with self._database.reading_connection() as connection:
            place = connection.execute(_PLACE, {"delivery_id": delivery_id}).first()
            if place is None or place.state not in _OPEN:
                return False
            values = {"team_id": place.team_id, "lane_id": place.lane_id}
            has_earlier = connection.scalar(_HAS_EARLIER, {**values, "delivery_id": delivery_id})
        return not has_earlier
