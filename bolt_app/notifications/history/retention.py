"""Retention: deletes old rows, in small batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from threading import Event
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, except_, func, or_, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import (
    IS_OPEN,
    Delivery,
    IdempotencyKey,
    Incident,
    Lane,
    Notification,
    RateLimit,
)
from bolt_app.notifications.content.ids import id_of_moment
from bolt_app.notifications.history.erasure import erase_idle_lanes, teams_with_idle_lanes
from bolt_app.notifications.intake.idempotency import IDEMPOTENCY_LIFETIME
from bolt_app.notifications.queue.change_feed import begin_change

logger = logging.getLogger(__name__)

BATCH_SIZE = 500
# Each is looked for in all lanes of its workspace, whose queue is locked meanwhile.
INCIDENT_BATCH_SIZE = 20


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
        """Keep notifications for so long after their last delivery has ended.

        Incidents are kept while deliveries with their key are.

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
        deleted = self._delete_notifications(now - self._keep_for)
        self._delete_incidents(now - self._keep_for)
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

    def _delete_notifications(self, before: datetime) -> int:
        """Delete the notifications whose deliveries all ended before a moment."""
        kept = _count_deliveries(
            Delivery.notification_id == Notification.id,
            or_(IS_OPEN, Delivery.finished_at >= before),
        )
        old = select(Notification.id).where(Notification.id < id_of_moment(before), kept == 0)
        batch = old.order_by(Notification.id).limit(BATCH_SIZE)
        deleted, last_id = 0, ""
        while not self._stopping.is_set():
            # Read while others write, and without the kept ones before the last batch.
            with self._database.reading_connection() as connection:
                ids = connection.scalars(batch.where(Notification.id > last_id)).all()
            if not ids:
                break
            with self._database.writing_connection() as connection:
                expired = delete(Notification).where(Notification.id.in_(ids), kept == 0)
                deleted += connection.execute(expired).rowcount
            last_id = ids[-1]
        return deleted

    def _delete_incidents(self, before: datetime) -> None:
        """Delete incidents that last changed before a moment and have no deliveries any more."""
        with self._database.reading_connection() as connection:
            found = _forgotten_incidents(connection, before)
        for team_id, rows in groupby(found, attrgetter("team_id")):
            keys = [row.key for row in rows]
            for start in range(0, len(keys), INCIDENT_BATCH_SIZE):
                if self._stopping.is_set():
                    return
                with self._database.writing_connection() as connection:
                    some = keys[start : start + INCIDENT_BATCH_SIZE]
                    _delete_forgotten(connection, team_id, some, before)


def _forgotten_incidents(connection: Connection, before: datetime) -> Sequence[Any]:
    """Return the workspaces and keys of incidents without deliveries, in order.

    All deliveries are read once, not for each incident.
    """
    in_use = (
        select(Lane.team_id, Delivery.key)
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.key.is_not(None))
    )
    old = select(Incident.team_id, Incident.key).where(Incident.changed_at < before)
    return sorted(connection.execute(except_(old, in_use)).all())


def _delete_forgotten(
    connection: Connection, team_id: str, keys: Sequence[str], before: datetime
) -> None:
    # A notification that continues an incident locks the workspace's queue too.
    begin_change(connection, [team_id])
    lanes = select(Lane.id).where(Lane.team_id == team_id)
    in_use = _count_deliveries(
        Delivery.lane_id.in_(lanes), Delivery.key == Incident.key, Delivery.key.is_not(None)
    )
    connection.execute(
        delete(Incident).where(
            Incident.team_id == team_id,
            Incident.key.in_(keys),
            Incident.changed_at < before,
            in_use == 0,
        )
    )


def _count_deliveries(*which: ColumnElement[bool]) -> Any:
    """Return the scalar subquery that counts deliveries, by an index.

    For NOT EXISTS, PostgreSQL may read all deliveries.
    """
    return select(func.count()).select_from(Delivery).where(*which).scalar_subquery()
