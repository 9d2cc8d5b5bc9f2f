"""Which deliveries make a notification known to the people of the place they go to."""

from __future__ import annotations

from sqlalchemy import and_, or_

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState

# An escalation waits for as long as nobody answers: until it goes out, it has told nobody.
_NOT_ESCALATED = (
    DeliveryState.WAITING,
    DeliveryState.SCHEDULED,
    DeliveryState.HELD,
    DeliveryState.CANCELLED,
    DeliveryState.EXPIRED,
    DeliveryState.MUTED,
)

# A delivery that a person may yet cancel counts: its sender meant it for that place.
IS_PUBLISHED = and_(
    Delivery.state != DeliveryState.CANCELLED,
    or_(Delivery.mode != DeliveryMode.ESCALATE, Delivery.state.not_in(_NOT_ESCALATED)),
)
# Meant for that place, and called back before it went there.
IS_WITHDRAWN = and_(
    Delivery.state == DeliveryState.CANCELLED, Delivery.mode != DeliveryMode.ESCALATE
)
