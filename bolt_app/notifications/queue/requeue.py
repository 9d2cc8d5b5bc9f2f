"""Requeueing of deliveries that have ended, and the end of those that expire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, or_, select
from sqlalchemy.orm import aliased

from bolt_app.db.models import CANCELLED_EXPIRY, Delivery
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.queue.change_feed import stored_urgency
from bolt_app.notifications.queue.rank import STEP_SECONDS, URGENT_RANK
from bolt_app.slack_ids import NOBODY

# Modes that change the message with the key.
_REPLACING = (DeliveryMode.UPDATE, DeliveryMode.EDIT)
# The state in which a delivery ends whose `expires_at` has passed.
EXPIRED_STATE = case(
    (Delivery.expires_at == CANCELLED_EXPIRY, DeliveryState.CANCELLED.value),
    else_=DeliveryState.EXPIRED.value,
)


def is_replaced(*lane_ids: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a later delivery updates the same message, or may have done so.

    Queued again, the earlier one would bring its content back.

    Args:
        lane_ids: lanes of the same conversation, besides the delivery's own.
    """
    later = aliased(Delivery)
    newer = select(later.id).where(
        or_(later.lane_id == Delivery.lane_id, *(later.lane_id == one for one in lane_ids)),
        later.key == Delivery.key,
        later.id > Delivery.id,
        later.mode.in_(_REPLACING),
        later.state.in_(
            (
                DeliveryState.WAITING,
                DeliveryState.SENDING,
                DeliveryState.SENT,
                DeliveryState.UNKNOWN,
            )
        ),
    )
    return and_(Delivery.mode.in_(_REPLACING), newer.exists())


def requeued(now: datetime) -> dict[str, Any]:
    """Return the column values that queue an ended delivery again, with its urgency as of now."""
    passed = Delivery.expires_at <= now
    at = stored_urgency(0, now)
    return {
        "state": DeliveryState.WAITING,
        "urgency": case(
            (Delivery.rank <= URGENT_RANK, stored_urgency(URGENT_RANK, now)),
            else_=literal(at, BigInteger) + Delivery.rank * round(STEP_SECONDS * 1000),
        ),
        "retry_at": None,
        "second_look_at": None,
        "attempts": 0,
        "tried_at": None,
        "attempted_at": None,
        "error": None,
        "finished_at": None,
        "send_at": now,
        "expires_at": case((passed, None), else_=Delivery.expires_at),
        "recipient_id": func.nullif(Delivery.recipient_id, NOBODY),
    }
