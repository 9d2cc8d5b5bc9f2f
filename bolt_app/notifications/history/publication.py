"""Publication: the deliveries that make a notification visible to the people at its destination."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_
from sqlalchemy.orm import aliased

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState

# An escalation publishes nothing until it goes out.
_NOT_ESCALATED = (
    DeliveryState.WAITING,
    DeliveryState.SCHEDULED,
    DeliveryState.HELD,
    DeliveryState.CANCELLED,
    DeliveryState.EXPIRED,
    DeliveryState.MUTED,
)

# A pending delivery counts: its sender addressed that destination.
IS_PUBLISHED = and_(
    Delivery.state != DeliveryState.CANCELLED,
    or_(Delivery.mode != DeliveryMode.ESCALATE, Delivery.state.not_in(_NOT_ESCALATED)),
)
# Addressed to that destination, and cancelled before it went out.
IS_WITHDRAWN = and_(
    Delivery.state == DeliveryState.CANCELLED, Delivery.mode != DeliveryMode.ESCALATE
)
# In Slack, or perhaps.
_ARRIVED = (DeliveryState.SENT, DeliveryState.UNKNOWN)
_COVER = aliased(Delivery)
# Posted, itself or in a digest.
HAS_ARRIVED = or_(
    Delivery.state.in_(_ARRIVED),
    and_(
        Delivery.state == DeliveryState.DIGESTED,
        exists().where(
            _COVER.notification_id == Delivery.digest_id,
            _COVER.lane_id == Delivery.lane_id,
            _COVER.state.in_(_ARRIVED),
        ),
    ),
)
