"""Limits of each API key and webhook, counted in its row and so shared by all processes.

The transaction that accepts a request adds to the row's counters in one statement. The credential
was checked before the request's body was read, which may take a minute: the statement finds only
one that is neither revoked nor expired, and keeps it so until the transaction ends. Then the
transaction reads whether Bellhop is still installed. An uninstall locks the credentials of its
workspace before it erases anything, so that it erases what an earlier transaction has stored. It
does not know a credential that is created meanwhile, but holds the workspace's queue: what stores
recipients, bodies of webhooks or files reads whether Bellhop is installed after it has locked the
queue.

Every transaction locks rows in one order, so that no two wait for each other: installations and
their sessions, people, their memberships and preferences, the listing of channels and the channels,
credentials (API keys, then webhooks, by id), subscriptions (by address and topic), the workspace's
queue, and then everything else of the workspace.

A transaction that exceeds a limit is rolled back. The counters start at zero with each minute and
hour of UTC.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Any

from sqlalchemy import Connection, bindparam, case, event, func, or_, select, union_all, update

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.sources import Credential, CredentialKind, SourceKind, is_delivery_of
from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import (
    IS_LATER,
    IS_WAITING,
    ApiKey,
    Delivery,
    Lane,
    Notification,
    Webhook,
)


class LimitReason(StrEnum):
    """The limit that a request exceeded."""

    REQUESTS = "requests"
    DELIVERIES = "deliveries"
    OPEN_DELIVERIES = "open_deliveries"
    NEW_DESTINATIONS = "new_destinations"


LIMIT_WORDS: dict[str, str] = {
    LimitReason.REQUESTS: "requests per minute",
    LimitReason.DELIVERIES: "deliveries per minute",
    LimitReason.OPEN_DELIVERIES: "open deliveries",
    LimitReason.NEW_DESTINATIONS: "new destinations per hour",
}
_MINUTE, _HOUR = 60, 3600
# How long a process rejects a credential that exceeded a limit without asking the database.
_PAUSE = timedelta(seconds=1)
_TABLES: dict[CredentialKind, Any] = {
    SourceKind.API_KEY: ApiKey.__table__,
    SourceKind.WEBHOOK: Webhook.__table__,
}
# How long a process uses an exact count of open deliveries, which visits all of them.
_RECOUNT = timedelta(seconds=5)

# Raises an error unless Bellhop is installed in a workspace.
RequireInstalled = Callable[[Connection, str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The limits of one credential."""

    requests: int = 60_000
    deliveries: int = 60_000
    open_deliveries: int = 100_000
    new_destinations: int = 1000


@dataclass(frozen=True)
class Charge:
    """The amounts that one credential's requests add to its counters.

    Attributes:
        deliveries: counted by `count_addressed`.
        destinations: the addresses that the sender named explicitly.
    """

    credential: Credential
    requests: int = 0
    deliveries: int = 0
    destinations: Collection[str] = ()


class RevokedError(Exception):
    """The credential was revoked, or has expired, while its request was being handled."""


class LimitError(Exception):
    """A credential exceeded one of its limits.

    Attributes:
        reason: the limit.
        until: when it may send again.
        retry_after: the same in seconds from now.
    """

    def __init__(self, reason: LimitReason, limit: int, until: datetime, now: datetime) -> None:
        super().__init__(
            f"This exceeds {limit:,} {LIMIT_WORDS[reason]}, the limit of each API key and webhook: "
            "send it later."
        )
        self.reason = reason
        self.limit = limit
        self.until = until
        self.retry_after = max(1, math.ceil((until - now).total_seconds()))


def count_addressed(deliveries: Iterable[tuple[str, int | None, str | None]]) -> int:
    """Return the number of deliveries that are charged to the sender.

    Every delivery that the sender addressed counts, and the topics of a notification count as one:
    the sender does not control the number of subscribers, and is not to learn from the charge
    whether an address beside a topic is one of them.

    Args:
        deliveries: notification id, subscription id (None if addressed by the sender), and the
            topics of the notification.
    """
    named, with_topics = 0, set()
    for notification_id, subscription_id, topics in deliveries:
        named += subscription_id is None
        if subscription_id is not None or topics:
            with_topics.add(notification_id)
    return named + len(with_topics)


def _charge_statement(table: Any) -> Any:
    is_same_minute = table.c.counted_minute == bindparam("this_minute")
    is_same_hour = table.c.counted_hour == bindparam("this_hour")
    is_valid = [table.c.revoked_at.is_(None)]
    if "expires_at" in table.c:
        is_valid.append(or_(table.c.expires_at.is_(None), table.c.expires_at > bindparam("now")))
    known = (
        select(func.count())
        .select_from(Lane.__table__)
        .where(
            Lane.team_id == table.c.team_id,
            is_any_of(Lane.address, "addresses"),
        )
        .correlate(table)
        .scalar_subquery()
    )
    return (
        update(table)
        .where(table.c.id == bindparam("credential_id"), *is_valid)
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


# Prepared once, because they run for every notification.
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
        select(Delivery.notification_id, Delivery.subscription_id, Notification.topics)
        .join(Lane, Lane.id == Delivery.lane_id)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Lane.team_id == bindparam("team_id"), is_delivery_of(bindparam("sent_by")), state)
        for state in (IS_WAITING, IS_LATER)
    )
).subquery()
# Counts like `count_addressed`.
_IS_SUBSCRIBED = _OPEN.c.subscription_id.is_not(None)
_HAS_TOPICS = or_(_IS_SUBSCRIBED, _OPEN.c.topics.is_not(None))
_COUNT_OPEN = select(
    func.count().filter(~_IS_SUBSCRIBED)
    + func.count(_OPEN.c.notification_id.distinct()).filter(_HAS_TOPICS)
).select_from(_OPEN)


@dataclass(frozen=True)
class _Rejection:
    credential: Credential
    reason: LimitReason


class SenderLimits:
    """Charges credentials for their notifications, and counts rejected requests."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        require_installed: RequireInstalled | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._limits = limits
        self._require_installed = require_installed
        self._clock = clock
        self._lock = Lock()
        # Rejections not yet written to the database.
        self._rejections: Counter[_Rejection] = Counter()
        self._paused: dict[Credential, tuple[datetime, LimitError]] = {}
        # When the open deliveries of credentials were counted.
        self._counted: dict[Credential, datetime] = {}

    def check(self, credential: Credential) -> None:
        """Reject a credential that exceeded a limit a moment ago, without asking the database.

        Raises:
            LimitError: it did.
        """
        ends, error = self._paused.get(credential, (None, None))
        now = self._clock()
        if ends is None or error is None or now >= min(ends, error.until):
            return
        raise LimitError(error.reason, error.limit, error.until, now)

    def charge(
        self,
        connection: Connection,
        charges: Sequence[Charge],
        now: datetime,
        *,
        checks_installation: bool = True,
    ) -> None:
        """Charge credentials of a workspace, in the transaction of what their requests change.

        The credentials' rows stay locked; lanes are always locked after them. Every change that a
        credential makes is in such a transaction, also one that costs nothing.

        Args:
            charges: one per credential.
            checks_installation: False if the caller does it after locking the workspace's queue
                (`require_installed`).

        Raises:
            RevokedError: one of the credentials is revoked or has expired.
            LimitError: one of them would exceed a limit; the caller must roll back.
            NotInstalledError: Bellhop is not installed in the workspace, or no longer.
        """
        team_ids = {
            self._charge(connection, charge, now)
            for charge in sorted(charges, key=lambda charge: charge.credential)
        }
        for team_id in team_ids if checks_installation else ():
            self.require_installed(connection, team_id)

    def require_installed(self, connection: Connection, team_id: str) -> None:
        """Require that Bellhop is installed, in a transaction that stores data of a workspace.

        Call it after locking the workspace's queue, which an uninstall holds while it erases.

        Raises:
            NotInstalledError: it is not.
        """
        if self._require_installed is not None:
            self._require_installed(connection, team_id)

    def charge_request(self, credential: Credential, *, requests: int = 1) -> None:
        """Charge a request that changes nothing in the database, in a separate transaction.

        Call it after the request's body has been read.

        Raises:
            RevokedError, LimitError, NotInstalledError: as `charge`.
        """
        try:
            self.check(credential)
            with self._database.writing_connection() as connection:
                charge = Charge(credential, requests)
                self.charge(connection, [charge], self._clock())
        except LimitError as error:
            self.reject(credential, error)
            raise

    @contextmanager
    def counting_rejections(self, credential: Credential | None) -> Iterator[None]:
        """Count a rejection in the context, if the sender has a credential."""
        try:
            yield
        except LimitError as error:
            if credential is not None:
                self.reject(credential, error)
            raise

    def reject(self, credential: Credential, error: LimitError) -> None:
        """Count a rejected request, and pause the credential for a moment."""
        now = self._clock()
        with self._lock:
            ends, _ = self._paused.get(credential, (now, error))
            if now >= ends:
                self._paused[credential] = (now + _PAUSE, error)
                over = {"credential": credential.name, "limit": error.reason.value}
                logger.warning("a sender is over a limit", extra=over)
            self._rejections[_Rejection(credential, error.reason)] += 1
        with self._database.writing_connection() as connection:
            # The first thread to get a connection writes the rejections of all waiting threads.
            with self._lock:
                counted, self._rejections = self._rejections, Counter()
            try:
                _write_rejections(connection, counted, now)
            except Exception:
                with self._lock:
                    self._rejections += counted
                raise

    def _charge(self, connection: Connection, charge: Charge, now: datetime) -> str:
        """Charge one credential; return its workspace."""
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
            "now": now,
        }
        row = connection.execute(_CHARGE[charge.credential.kind], values).first()
        if row is None:
            raise RevokedError
        limits = self._limits
        if charge.requests and row.minute_requests > limits.requests:
            raise LimitError(LimitReason.REQUESTS, limits.requests, _next(at, _MINUTE), now)
        if charge.deliveries and row.minute_deliveries > limits.deliveries:
            raise LimitError(LimitReason.DELIVERIES, limits.deliveries, _next(at, _MINUTE), now)
        if addresses and row.hour_destinations > limits.new_destinations:
            raise LimitError(
                LimitReason.NEW_DESTINATIONS, limits.new_destinations, _next(at, _HOUR), now
            )
        if charge.deliveries and row.open_at_most > limits.open_deliveries:
            self._count_open(connection, charge, row.team_id, now)
        return str(row.team_id)

    def _count_open(
        self, connection: Connection, charge: Charge, team_id: str, now: datetime
    ) -> None:
        """Count the open deliveries exactly: the row's counter does not subtract finished ones.

        Raises:
            LimitError: there are too many, or as many were accepted since the last count.
        """
        credential, limit = charge.credential, self._limits.open_deliveries
        again_at = self._counted.get(credential, datetime.min.replace(tzinfo=UTC)) + _RECOUNT
        if now < again_at <= now + _RECOUNT:
            raise LimitError(LimitReason.OPEN_DELIVERIES, limit, again_at, now)
        found = {"team_id": team_id, "sent_by": credential.name}
        counted = connection.execute(_COUNT_OPEN, found).scalar_one() + charge.deliveries
        if counted > limit:
            self._counted[credential] = now
            raise LimitError(
                LimitReason.OPEN_DELIVERIES, limit, now + timedelta(seconds=_MINUTE), now
            )
        values = {"credential_id": credential.id, "counted": counted}
        connection.execute(_SET_OPEN[credential.kind], values)

        def remember(_connection: Connection) -> None:
            self._counted[credential] = now

        # Another sender's request in the same transaction may roll it back.
        event.listen(connection, "commit", remember)


def _write_rejections(connection: Connection, counted: Counter[_Rejection], now: datetime) -> None:
    for rejection in sorted(counted, key=lambda rejection: rejection.credential):
        values = {
            "credential_id": rejection.credential.id,
            "more": counted[rejection],
            "now": now,
            "reason": rejection.reason.value,
        }
        connection.execute(_REJECT[rejection.credential.kind], values)


def _next(at: int, seconds: int) -> datetime:
    """Return the start of the next minute or hour."""
    return datetime.fromtimestamp((at // seconds + 1) * seconds, UTC)
