"""Publication: the deliveries that make a notification visible to the people at its destination."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_
from sqlalchemy.orm import aliased

from bolt_app.db.models import CANCELLED_EXPIRY, Delivery
from bolt_app.notifications.content.modes import SILENT, DeliveryMode
from bolt_app.notifications.content.states import DeliveryState

# Others say nothing: a reaction refers to what its message was to show when it was accepted.
_SAYS_SOMETHING = Delivery.mode.not_in(SILENT)
# In Slack, or perhaps.
_ARRIVED = (DeliveryState.SENT, DeliveryState.UNKNOWN)
# Cancelled before it was posted, also if an attempt at it failed or is in progress.
_IS_CANCELLED = or_(
    Delivery.state == DeliveryState.CANCELLED,
    and_(
        Delivery.expires_at.is_not_distinct_from(CANCELLED_EXPIRY),
        Delivery.state.not_in(_ARRIVED),
    ),
)
# A pending or failed delivery counts: its sender addressed that destination. An escalation
# publishes nothing before it is sent.
IS_PUBLISHED = and_(
    _SAYS_SOMETHING,
    ~_IS_CANCELLED,
    or_(Delivery.mode != DeliveryMode.ESCALATE, Delivery.state == DeliveryState.SENT),
)
# For the sender and admins: cancelled before it went out.
IS_WITHDRAWN = and_(Delivery.mode != DeliveryMode.ESCALATE, _IS_CANCELLED)
_COVER = aliased(Delivery)
_COVER_HAS_ARRIVED = exists().where(
    _COVER.notification_id == Delivery.digest_id,
    _COVER.lane_id == Delivery.lane_id,
    _COVER.state.in_(_ARRIVED),
)
# Posted, itself or in a digest.
HAS_ARRIVED = and_(
    _SAYS_SOMETHING,
    or_(
        Delivery.state.in_(_ARRIVED),
        and_(Delivery.state == DeliveryState.DIGESTED, _COVER_HAS_ARRIVED),
    ),
)
# Of a subscription, whose person may not have the right to it any more.
IS_EXPECTED = and_(Delivery.subscription_id.is_not(None), ~HAS_ARRIVED)
