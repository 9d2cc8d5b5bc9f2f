"""Subscriptions that become one, because their addresses are one channel or person."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, update
from sqlalchemy.orm import aliased

from bolt_app.db.models import IS_PENDING, Delivery, Subscription


def merge_subscription(connection: Connection, ended_id: int, kept_id: int, seq: int) -> None:
    """Delete a subscription; its pending deliveries become those of another one.

    Those of notifications that the kept one has too stay with the ended one: a held delivery of a
    subscription that has ended is cancelled when it is due.

    Args:
        seq: the number of the change that this is part of.
    """
    other = aliased(Delivery)
    is_doubled = exists().where(
        other.notification_id == Delivery.notification_id, other.subscription_id == kept_id
    )
    pending = update(Delivery).where(Delivery.subscription_id == ended_id, IS_PENDING)
    connection.execute(pending.where(~is_doubled).values(subscription_id=kept_id, seq=seq))
    connection.execute(delete(Subscription).where(Subscription.id == ended_id))
