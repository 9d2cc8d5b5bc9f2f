"""Retention: deletes old rows, in small batches."""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Event

from sqlalchemy import delete, exists, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import (
    IS_OPEN,
    Delivery,
    IdempotencyKey,
    Incident,
    Notification,
    RateLimit,
)
from bolt_app.notifications.content.ids import id_of_moment
from bolt_app.notifications.history.erasure import erase_idle_lanes, teams_with_idle_lanes
from bolt_app.notifications.intake.idempotency import IDEMPOTENCY_LIFETIME

logger = logging.getLogger(__name__)

BATCH_SIZE = 500


class Retention:
    """Deletes old notifications with their deliveries, empty lanes, and short-lived rows."""

    def __init__(
        self,
        database: Database,
        *,
        keep_for: timedelta,
        stopping: Event | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Keep notifications for so long.

        Args:
            stopping: ends a run between two transactions, once it is set.
        """
        self._database = database
        self._stopping = stopping or Event()
        self._keep_for = keep_for
        self._clock = clock

    def delete_expired(self) -> int:
        """Delete expired rows in short transactions; return the number of notifications."""
        now = self._clock()
        with self._database.writing() as session:
            old = IdempotencyKey.created_at < now - IDEMPOTENCY_LIFETIME
            session.execute(delete(IdempotencyKey).where(old))
            session.execute(delete(RateLimit).where(RateLimit.free_at < now))
            session.execute(delete(Incident).where(Incident.changed_at < now - self._keep_for))
        deleted = 0
        while not self._stopping.is_set() and (batch := self._delete_batch()):
            deleted += batch
        with self._database.reading_connection() as connection:
            team_ids = teams_with_idle_lanes(connection)
        for team_id in team_ids:
            while not self._stopping.is_set() and self._erase_lanes(team_id):
                pass
        if not self._database.truncate_wal():
            logger.info("the write-ahead log is in use; the next run empties it")
        return deleted

    def _erase_lanes(self, team_id: str) -> bool:
        with self._database.writing_connection() as connection:
            return erase_idle_lanes(connection, team_id)

    def _delete_batch(self) -> int:
        still_open = exists().where(Delivery.notification_id == Notification.id, IS_OPEN)
        old = (
            select(Notification.id)
            .where(Notification.id < id_of_moment(self._clock() - self._keep_for), ~still_open)
            .order_by(Notification.id)
            .limit(BATCH_SIZE)
        )
        with self._database.writing() as session:
            ids = session.scalars(old).all()
            session.execute(delete(Notification).where(Notification.id.in_(ids)))
        return len(ids)
