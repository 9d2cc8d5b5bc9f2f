"""Subscriptions that become one, because their addresses are one channel or person."""

from __future__ import annotations

from sqlalchemy import Connection, delete, update

from bolt_app.db.models import IS_PENDING, Delivery, Subscription


def merge_subscription(connection: Connection, ended_id: int, kept_id: int, seq: int) -> None:
    """Delete a subscription; its pending deliveries become those of another one.

    Held deliveries of a subscription that has ended would be cancelled.

    Args:
        seq: the number of the change that this is part of.
    """
    pending = update(Delivery).where(Delivery.subscription_id == ended_id, IS_PENDING)
    connection.execute(pending.values(subscription_id=kept_id, seq=seq))
    connection.execute(delete(Subscription).where(Subscription.id == ended_id))
