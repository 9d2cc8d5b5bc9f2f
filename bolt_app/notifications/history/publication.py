"""Publication: the deliveries that make a notification visible to the people at its destination."""

from __future__ import annotations

from sqlalchemy import and_, exists, func, not_, or_
from sqlalchemy.orm import aliased

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.slack_api import DEAD_TOKEN_CODES, TEMPORARY_CODES

# An escalation publishes nothing until it goes out.
_NOT_ESCALATED = (
    DeliveryState.WAITING,
    DeliveryState.SCHEDULED,
    DeliveryState.HELD,
    DeliveryState.CANCELLED,
    DeliveryState.EXPIRED,
    DeliveryState.MUTED,
)

# Codes with which a delivery may end before it has found the person of its e-mail address.
_BEFORE_FOUND = TEMPORARY_CODES | DEAD_TOKEN_CODES | {"users_not_found", "not_installed"}
# To an e-mail address, whose person each attempt looks up: it may be another one than when the
# delivery joined those to a person.
IS_UNCLAIMED = and_(
    Delivery.target.startswith("@"),
    Delivery.state.not_in((DeliveryState.SENT, DeliveryState.UNKNOWN, DeliveryState.DIGESTED)),
    or_(
        Delivery.state != DeliveryState.DEAD,
        func.coalesce(Delivery.error, "").in_(("", *sorted(_BEFORE_FOUND))),
    ),
)
# A pending delivery counts: its sender addressed that destination.
IS_PUBLISHED = and_(
    Delivery.state != DeliveryState.CANCELLED,
    or_(Delivery.mode != DeliveryMode.ESCALATE, Delivery.state.not_in(_NOT_ESCALATED)),
    not_(IS_UNCLAIMED),
)
# For the sender and admins: cancelled before it went out, or its e-mail address led to nobody.
IS_WITHDRAWN = and_(
    Delivery.mode != DeliveryMode.ESCALATE,
    or_(
        Delivery.state == DeliveryState.CANCELLED,
        and_(IS_UNCLAIMED, Delivery.state == DeliveryState.DEAD),
    ),
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
