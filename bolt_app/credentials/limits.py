"""Limits of each API key and hook, counted on its row and so held across processes.

What a request is to bring is added to the row's counters in the transaction that accepts it: one
statement, which also finds out that the credential is revoked. Over a limit the transaction is
rolled back. The counters start at zero with each minute and hour of UTC.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, case, func, select, union_all, update

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.sources import Credential, CredentialKind
from bolt_app.db import Database
from bolt_app.db.models import (
    IS_LATER,
    IS_WAITING,
    ApiKey,
    Delivery,
    Hook,
    Lane,
    Notification,
)

Reason = Literal["requests", "deliveries", "open_deliveries", "new_destinations"]
REASONS: dict[Reason, str] = {
    "requests": "requests a minute",
    "deliveries": "deliveries a minute",
    "open_deliveries": "open deliveries",
    "new_destinations": "new destinations an hour",
}
_MINUTE, _HOUR = 60, 3600
# For so long a process refuses a credential that is over a limit without asking the database.
_PAUSE = timedelta(seconds=1)
_TABLES: dict[CredentialKind, Any] = {"api_key": ApiKey.__table__, "hook": Hook.__table__}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much one credential may send."""

    requests: int = 60_000
    deliveries: int = 60_000
    open_deliveries: int = 100_000
    new_destinations: int = 1000


@dataclass(frozen=True)
class Charge:
    """What one credential's requests are to bring.

    Attributes:
        deliveries: as `count_addressed` counts them.
        destinations: the addresses that the sender named itself.
    """

    credential: Credential
    requests: int = 0
    deliveries: int = 0
    destinations: Collection[str] = ()


class RevokedError(Exception):
    """The credential was revoked while its request was on its way."""


class LimitError(Exception):
    """A credential is over one of its limits.

    Attributes:
        reason: which one.
        until: when it may try again.
        retry_after: the same in seconds from now.
    """

    def __init__(self, reason: Reason, limit: int, until: datetime, now: datetime) -> None:
        super().__init__(
            f"This is more than {limit:,} {REASONS[reason]}, the limit of each API key and "
            "webhook: send it later."
        )
        self.reason = reason
        self.limit = limit
        self.until = until
        self.retry_after = max(1, math.ceil((until - now).total_seconds()))


def count_addressed(deliveries: Iterable[tuple[str, int | None]]) -> int:
    """Return how many of the deliveries count as their sender's.

    Each that the sender addressed counts, and one for all those of a notification that
    subscriptions made: how many subscribe is others' doing.

    Args:
        deliveries: the id of the notification, and that of the subscription, if any.
    """
    named, subscribed = 0, set()
    for notification_id, subscription_id in deliveries:
        if subscription_id is None:
            named += 1
        else:
            subscribed.add(notification_id)
    return named + len(subscribed)


def _charge_statement(table: Any) -> Any:
    is_same_minute = table.c.counted_minute == bindparam("this_minute")
    is_same_hour = table.c.counted_hour == bindparam("this_hour")
    known = (
        select(func.count())
        .select_from(Lane.__table__)
        .where(
            Lane.team_id == table.c.team_id,
            Lane.address.in_(bindparam("addresses", expanding=True)),
        )
        .correlate(table)
        .scalar_subquery()
    )
    return (
        update(table)
        .where(table.c.id == bindparam("credential_id"), table.c.revoked_at.is_(None))
        .values(
            counted_minute=bindparam("this_minute"),
            minute_requests=case((is_same_minute, table.c.minute_requests), else_=0)
            + bindparam("more_requests"),
            minute_deliveries=case((is_same_minute, table.c.minute_deliveries), else_=0)
            + bindparam("more_deliveries"),
            counted_hour=bindparam("this_hour"),
            hour_destinations=case((is_same_hour, table.c.hour_destinations), else_=0)
            + bindparam("destinations")
            - known,
            open_at_most=table.c.open_at_most + bindparam("more_deliveries"),
        )
        .returning(
            table.c.team_id,
            table.c.minute_requests,
            table.c.minute_deliveries,
            table.c.hour_destinations,
            table.c.open_at_most,
        )
    )


# Run for every notification, and so prepared once.
_CHARGE = {kind: _charge_statement(table) for kind, table in _TABLES.items()}
_SET_OPEN = {
    kind: update(table)
    .where(table.c.id == bindparam("credential_id"))
    .values(open_at_most=bindparam("counted"))
    for kind, table in _TABLES.items()
}
_REJECT = {
    kind: update(table)
    .where(table.c.id == bindparam("credential_id"))
    .values(
        rejected=table.c.rejected + bindparam("more"),
        rejected_at=bindparam("now"),
        rejected_reason=bindparam("reason"),
    )
    for kind, table in _TABLES.items()
}
_OPEN = union_all(
    *(
        select(Delivery.notification_id, Delivery.subscription_id)
        .join(Lane, Lane.id == Delivery.lane_id)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(
            Lane.team_id == bindparam("team_id"), Notification.source == bindparam("sent_by"), state
        )
        for state in (IS_WAITING, IS_LATER)
    )
).subquery()
# As `count_addressed` counts.
_IS_SUBSCRIBED = _OPEN.c.subscription_id.is_not(None)
_COUNT_OPEN = select(
    func.count().filter(~_IS_SUBSCRIBED)
    + func.count(_OPEN.c.notification_id.distinct()).filter(_IS_SUBSCRIBED)
).select_from(_OPEN)


@dataclass(frozen=True)
class _Rejection:
    credential: Credential
    reason: Reason


class SenderLimits:
    """Charges credentials for what they send, and counts what is rejected."""

    def __init__(self, database: Database, limits: Limits, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._lock = Lock()
        # Rejections that are still to be written down.
        self._rejections: Counter[_Rejection] = Counter()
        self._paused: dict[Credential, tuple[datetime, LimitError]] = {}

    def check(self, credential: Credential) -> None:
        """Refuse what was over a limit a moment ago, without asking the database.

        Raises:
            LimitError: it was.
        """
        ends, error = self._paused.get(credential, (None, None))
        now = self._clock()
        if ends is None or error is None or now >= min(ends, error.until):
            return
        raise LimitError(error.reason, error.limit, error.until, now)

    def charge(self, connection: Connection, charges: Sequence[Charge], now: datetime) -> None:
        """Count what credentials send, in the transaction that accepts it.

        The credentials' rows stay locked; lanes are locked after them, as everywhere.

        Args:
            charges: one for each credential.

        Raises:
            RevokedError: one of them is revoked.
            LimitError: one of them would be over a limit: the transaction is to be rolled back.
        """
        for charge in sorted(charges, key=lambda charge: charge.credential):
            self._charge(connection, charge, now)

    def charge_request(
        self, credential: Credential, *, requests: int = 1, deliveries: int = 0
    ) -> None:
        """Count a request that accepts nothing, in a transaction of its own.

        Args:
            deliveries: those that it lets begin again.

        Raises:
            RevokedError: the credential is revoked.
            LimitError: it is over the limit.
        """
        try:
            self.check(credential)
            with self._database.writing_connection() as connection:
                charge = Charge(credential, requests, deliveries)
                self.charge(connection, [charge], self._clock())
        except LimitError as error:
            self.reject(credential, error)
            raise

    def reject(self, credential: Credential, error: LimitError) -> None:
        """Count what was rejected, and pause the credential for a moment."""
        now = self._clock()
        with self._lock:
            ends, _ = self._paused.get(credential, (now, error))
            if now >= ends:
                self._paused[credential] = (now + _PAUSE, error)
                over = {"credential": credential.name, "limit": error.reason}
                logger.warning("a sender is over a limit", extra=over)
            self._rejections[_Rejection(credential, error.reason)] += 1
        with self._database.writing_connection() as connection:
            # The first thread to get its turn writes the rejections of all that wait.
            with self._lock:
                counted, self._rejections = self._rejections, Counter()
            try:
                _write_rejections(connection, counted, now)
            except Exception:
                with self._lock:
                    self._rejections += counted
                raise

    def _charge(self, connection: Connection, charge: Charge, now: datetime) -> None:
        at = int(now.timestamp())
        addresses = list(charge.destinations)
        values = {
            "credential_id": charge.credential.id,
            "this_minute": at // _MINUTE,
            "this_hour": at // _HOUR,
            "more_requests": charge.requests,
            "more_deliveries": charge.deliveries,
            "destinations": len(addresses),
            "addresses": addresses,
        }
        row = connection.execute(_CHARGE[charge.credential.kind], values).first()
        if row is None:
            raise RevokedError
        limits = self._limits
        if row.minute_requests > limits.requests:
            raise LimitError("requests", limits.requests, _next(at, _MINUTE), now)
        if charge.deliveries and row.minute_deliveries > limits.deliveries:
            raise LimitError("deliveries", limits.deliveries, _next(at, _MINUTE), now)
        if addresses and row.hour_destinations > limits.new_destinations:
            raise LimitError("new_destinations", limits.new_destinations, _next(at, _HOUR), now)
        if charge.deliveries and row.open_at_most > limits.open_deliveries:
            self._count_open(connection, charge, row.team_id, now)

    def _count_open(
        self, connection: Connection, charge: Charge, team_id: str, now: datetime
    ) -> None:
        """Count the open deliveries: the row's counter knows of none that has ended since.

        Raises:
            LimitError: they are too many.
        """
        credential, limit = charge.credential, self._limits.open_deliveries
        found = {"team_id": team_id, "sent_by": credential.name}
        counted = connection.execute(_COUNT_OPEN, found).scalar_one() + charge.deliveries
        if counted > limit:
            raise LimitError("open_deliveries", limit, now + timedelta(seconds=_MINUTE), now)
        values = {"credential_id": credential.id, "counted": counted}
        connection.execute(_SET_OPEN[credential.kind], values)


def _write_rejections(connection: Connection, counted: Counter[_Rejection], now: datetime) -> None:
    for one in sorted(counted, key=lambda one: one.credential):
        values = {
            "credential_id": one.credential.id,
            "more": counted[one],
            "now": now,
            "reason": one.reason,
        }
        connection.execute(_REJECT[one.credential.kind], values)


def _next(at: int, seconds: int) -> datetime:
    """Return when the next minute or hour begins."""
    return datetime.fromtimestamp((at // seconds + 1) * seconds, UTC)
