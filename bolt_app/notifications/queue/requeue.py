"""Requeueing of deliveries that have ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, case, literal

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.queue.change_feed import stored_urgency
from bolt_app.notifications.queue.rank import STEP_SECONDS, URGENT_RANK


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
    }
