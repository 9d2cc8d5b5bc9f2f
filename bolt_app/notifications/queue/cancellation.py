"""Cancellation: pending deliveries end, and attempted ones do not go out again by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, literal, or_

from bolt_app.db.models import CANCELLED_EXPIRY, IS_PENDING, Delivery
from bolt_app.db.types import UTCDateTime
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState

# A refresh updates a message in Slack, for example to remove a person who has unlinked.
_IS_CANCELLABLE = and_(IS_PENDING, Delivery.mode != DeliveryMode.REFRESH)
# Attempted deliveries may go out once more: after an attempt in progress, a channel's move, or, if
# people deleted the message, at the end of a snooze. Each is changed once.
MAY_GO_OUT_AGAIN = and_(
    Delivery.state.in_(
        (DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.UNKNOWN, DeliveryState.DEAD)
    ),
    Delivery.mode != DeliveryMode.REFRESH,
    Delivery.expires_at.is_distinct_from(CANCELLED_EXPIRY),
)
MAY_GO_OUT = or_(_IS_CANCELLABLE, MAY_GO_OUT_AGAIN)
# An escalation or reminder of an incident that has been answered since.
IS_CANCELLED_FOLLOWUP = and_(
    Delivery.mode.in_((DeliveryMode.ESCALATE, DeliveryMode.REMIND)),
    Delivery.expires_at.is_not_distinct_from(CANCELLED_EXPIRY),
)


def cancelled(now: datetime, seq: int) -> dict[str, Any]:
    """Return the column values of deliveries that are cancelled, pending and attempted ones.

    For one statement, because a delivery may pass from one kind to the other meanwhile.

    Args:
        seq: the number of the change that this is part of.
    """
    at, never = (literal(moment, UTCDateTime()) for moment in (now, CANCELLED_EXPIRY))
    return {
        "state": case((IS_PENDING, DeliveryState.CANCELLED.value), else_=Delivery.state),
        "finished_at": case((IS_PENDING, at), else_=Delivery.finished_at),
        "expires_at": case((IS_PENDING, Delivery.expires_at), else_=never),
        "seq": seq,
    }
