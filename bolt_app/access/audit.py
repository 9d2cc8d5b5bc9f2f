"""The audit log: queries, retention, and counts of rejected credentials.

Services write audit rows in the transaction of the change (`bolt_app.db.audit`). A rejected
credential changes nothing, and anyone can send any number of them: they are counted in memory and
written as one row per hour and address, at most once a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from bolt_app.client_address import client_address, network_of
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction
from bolt_app.db.models import AuditEvent

logger = logging.getLogger(__name__)

WRITE_EVERY = timedelta(minutes=1)
# Per process and hour; further addresses are counted together, without their address.
MOST_ADDRESSES = 100


@dataclass(frozen=True)
class AuditRecord:
    """A security event.

    Attributes:
        user_id: the person who did it; None for the command line, or if unknown.
        credential: the credential concerned, such as `api_key:3`.
        address: the client's address or network; None for the command line, for Slack, and for what
            only happens during a request, such as the end of another person's session.
        count: the number of occurrences within the hour.
    """

    id: int
    at: datetime
    action: str
    enterprise_id: str | None
    team_id: str | None
    user_id: str | None
    credential: str | None
    address: str | None = field(repr=False)
    count: int


@dataclass(frozen=True)
class _Rejection:
    action: AuditAction
    team_id: str | None = None
    credential: str | None = None
    address: str | None = field(default=None, repr=False)


@dataclass
class _Counter:
    began_at: datetime
    pending: int = 0
    written_at: datetime | None = None
    row_id: int | None = None

    def is_due(self, now: datetime) -> bool:
        return self.pending > 0 and (
            self.written_at is None or now - self.written_at >= WRITE_EVERY
        )


class AuditLog:
    """The security events of all workspaces."""

    def __init__(self, database: Database, *, keep_for: timedelta, clock: Clock = utc_now) -> None:
        self._database = database
        self._keep_for = keep_for
        self._clock = clock
        self._lock = Lock()
        self._hour: datetime | None = None
        self._counters: dict[_Rejection, _Counter] = {}

    def reject(
        self, action: AuditAction, *, team_id: str | None = None, credential: str | None = None
    ) -> None:
        """Count a rejected credential of the current request's client.

        Args:
            credential: the id of a revoked or expired credential; never its secret.
        """
        now, address = self._clock(), client_address()
        rejection = _Rejection(
            action, team_id, credential, None if address is None else network_of(address)
        )
        with self._lock:
            due = self._turn_hour(now)
            self._counter_of(rejection, now).pending += 1
            due += [item for item in self._counters.items() if item[1].is_due(now)]
            taken = [(key, counter, _take(counter, now)) for key, counter in due]
        self._write(taken)

    def flush(self) -> None:
        """Write the counts that are only in memory."""
        now = self._clock()
        with self._lock:
            due = [item for item in self._counters.items() if item[1].pending]
            taken = [(key, counter, _take(counter, now)) for key, counter in due]
        self._write(taken)

    def find(
        self, *, team_id: str | None = None, action: str | None = None, limit: int = 100
    ) -> list[AuditRecord]:
        """Return the latest events, in order of time."""
        statement = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
        if team_id is not None:
            statement = statement.where(AuditEvent.team_id == team_id)
        if action is not None:
            statement = statement.where(AuditEvent.action == action)
        with self._database.reading() as session:
            rows = session.scalars(statement).all()
        return [_record(row) for row in reversed(rows)]

    def delete_expired(self) -> None:
        """Delete the events that are past their retention."""
        old = AuditEvent.at < self._clock() - self._keep_for
        with self._database.writing() as session:
            session.execute(delete(AuditEvent).where(old))

    def _turn_hour(self, now: datetime) -> list[tuple[_Rejection, _Counter]]:
        """Reset the counters at the start of an hour; return the counters not yet written."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour == self._hour:
            return []
        left = [item for item in self._counters.items() if item[1].pending]
        self._hour, self._counters = hour, {}
        return left

    def _counter_of(self, rejection: _Rejection, now: datetime) -> _Counter:
        if rejection not in self._counters and len(self._counters) >= MOST_ADDRESSES:
            rejection = _Rejection(rejection.action)
        return self._counters.setdefault(rejection, _Counter(now))

    def _write(self, taken: Iterable[tuple[_Rejection, _Counter, int]]) -> None:
        taken = list(taken)
        if not taken:
            return
        inserted: list[tuple[_Counter, int]] = []
        try:
            with self._database.writing() as session:
                for rejection, counter, count in taken:
                    if counter.row_id is not None:
                        known = update(AuditEvent).where(AuditEvent.id == counter.row_id)
                        session.execute(known.values(count=AuditEvent.count + count))
                        continue
                    values = {
                        **vars(rejection),
                        "action": rejection.action.value,
                        "at": counter.began_at,
                        "count": count,
                    }
                    row = insert(AuditEvent).values(values).returning(AuditEvent.id)
                    inserted.append((counter, session.scalars(row).one()))
        except SQLAlchemyError as error:
            # The request was rejected nonetheless.
            logger.warning(
                "rejected credentials could not be recorded",
                extra={"count": sum(count for _, _, count in taken), "error": type(error).__name__},
            )
            return
        # Only now: after a failed commit SQLite gives the ids to other events.
        for counter, row_id in inserted:
            counter.row_id = row_id


def _take(counter: _Counter, now: datetime) -> int:
    count, counter.pending, counter.written_at = counter.pending, 0, now
    return count


def _record(row: AuditEvent) -> AuditRecord:
    return AuditRecord(
        id=row.id,
        at=row.at,
        action=row.action,
        enterprise_id=row.enterprise_id,
        team_id=row.team_id,
        user_id=row.user_id,
        credential=row.credential,
        address=row.address,
        count=row.count,
    )
