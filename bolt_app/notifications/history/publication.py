"""Which deliveries make a notification known to the people of the place they go to."""

from __future__ import annotations

from sqlalchemy import and_, or_

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.modes import ESCALATE

# An escalation waits for as long as nobody answers: until it goes out, it has told nobody.
_NOT_ESCALATED = ("waiting", "scheduled", "held", "cancelled", "expired", "muted")

# A delivery that a person may yet cancel counts: its sender meant it for that place.
IS_PUBLISHED = and_(
    Delivery.state != "cancelled",
    or_(Delivery.mode != ESCALATE, Delivery.state.not_in(_NOT_ESCALATED)),
)
# Meant for that place, and called back before it went there.
IS_WITHDRAWN = and_(Delivery.state == "cancelled", Delivery.mode != ESCALATE)
