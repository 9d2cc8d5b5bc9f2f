"""The history of notifications: find, list, cancel, retry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.limits import Charge, SenderLimits, count_addressed
from bolt_app.credentials.sources import Credential, credentials_of, is_delivery_of, stored_keys
from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import (
    DELETED_ADDRESS,
    IS_OPEN,
    IS_TROUBLED,
    Delivery,
    Incident,
    Lane,
    Notification,
    Team,
)
from bolt_app.db.receipts import record_effect
from bolt_app.notifications.content.modes import SILENT, DeliveryMode
from bolt_app.notifications.content.states import FAILED_STATES, DeliveryState, StateFilter
from bolt_app.notifications.history.errors import (
    AnsweredIncidentError,
    ErasedRecipientError,
    NothingToRetryError,
    ReplacedMessageError,
)
from bolt_app.notifications.history.reports import DeliveryReport, NotificationReport
from bolt_app.notifications.history.search import HistoryQuery, Visible, find_page
from bolt_app.notifications.history.store import (
    NOTIFICATION_COLUMNS,
    SUMMARY_COLUMNS,
    build_reports,
    find_delivery_reports,
    first_fitting,
    first_with_fitting_deliveries,
)
from bolt_app.notifications.queue.cancellation import (
    IS_CANCELLED_FOLLOWUP,
    MAY_GO_OUT,
    MAY_GO_OUT_AGAIN,
    cancelled,
)
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.requeue import is_replaced, requeued
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.slack_ids import is_channel
from bolt_app.workspaces.channel_names import find_named, renamed_among

_CHUNK = 500


@dataclass(frozen=True)
class HistoryPage:
    """A page of notifications, the newest first, and the cursor of the next page.

    A page may have fewer notifications than requested, even none, and still have a next page.
    """

    notifications: list[NotificationReport]
    next_cursor: str | None


@dataclass(frozen=True)
class Cancelled:
    """The cancelled deliveries, and those that had already gone out or ended."""

    cancelled: list[DeliveryReport]
    kept: list[DeliveryReport]


@dataclass(frozen=True)
class Recipients:
    """The recipients that the sender of a notification named.

    Attributes:
        named: addresses and topics.
        renamed: the ids of channels that do not have their name any more, with that name.
    """

    named: Sequence[str]
    renamed: Mapping[str, str]


class History:
    """Reads, cancels and retries accepted notifications."""

    def __init__(
        self,
        database: Database,
        wakeup: Wakeup,
        public_url: str,
        limits: SenderLimits,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._wakeup = wakeup
        self._public_url = public_url
        self._limits = limits
        self._clock = clock

    def visible_to(
        self,
        team_id: str,
        source: str,
        channels: Sequence[str] | None,
        *,
        only_public: bool = False,
    ) -> Visible:
        """Return the visibility of an API key.

        Args:
            channels: to which notifications of others are limited, and subscribers that it sees:
                ids of channels and people, and channels' names; None: no limit.
            only_public: whether notifications of others are limited to public channels.
        """
        with self._database.reading_connection() as connection:
            addresses = None if channels is None else _with_named(connection, team_id, channels)
            sources = credentials_of(connection, team_id, source)
        return Visible(sources, addresses, team_id if only_public else None)

    def credentials_of(self, team_id: str, source: str) -> frozenset[str]:
        """Return the names of the credentials that share a source."""
        with self._database.reading_connection() as connection:
            return credentials_of(connection, team_id, source)

    def find(
        self, team_id: str, notification_id: str, visible: Visible | None = None
    ) -> NotificationReport | None:
        """Return a notification of a workspace, with every delivery.

        Args:
            visible: limits the notifications and deliveries that may be seen; None: no limit.
        """
        conditions = [Notification.id == notification_id, Notification.team_id == team_id]
        if visible is not None:
            conditions.append(visible.condition(Notification))
        with self._database.reading() as session:
            rows = session.execute(select(*NOTIFICATION_COLUMNS).where(*conditions)).all()
            return next(iter(self._reports(session, rows, visible)), None)

    def find_by_message(
        self, team_id: str, channel_id: str, ts: str, *, enterprise_id: str | None = None
    ) -> str | None:
        """Return the id of the latest notification that a message shows.

        Args:
            enterprise_id: an organization; the message may be in any of its workspaces.
        """
        of_organization = select(Team.team_id).where(
            Team.enterprise_id == enterprise_id, Team.enterprise_id != ""
        )
        statement = (
            select(Delivery.notification_id)
            .join(Lane, Lane.id == Delivery.lane_id)
            .where(
                Delivery.channel_id == channel_id,
                Delivery.ts == ts,
                Delivery.ts.is_not(None),
                Delivery.state == DeliveryState.SENT,
                Delivery.mode.not_in(SILENT),
                or_(Lane.team_id == team_id, Lane.team_id.in_(of_organization)),
            )
            .order_by(Delivery.id.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalar(statement)

    def search(
        self, team_id: str, query: HistoryQuery, *, limit: int = 50, cursor: str | None = None
    ) -> HistoryPage:
        """Return the notifications of a workspace that match a query, the newest first.

        Args:
            cursor: the `next_cursor` of an earlier page.
        """
        with self._database.reading() as session:
            if query.key is not None:
                keys = stored_keys(session.connection(), team_id, query.key)
                query = replace(query, stored_keys=keys)
            if query.source is not None:
                credentials = credentials_of(session.connection(), team_id, query.source)
                query = replace(query, sources=[query.source, *credentials])
            ids, next_cursor = find_page(session, team_id, query, limit, cursor)
            fitting = first_fitting(session, ids, *_shown(query.visible))
            if len(fitting) < len(ids):
                next_cursor = fitting[-1]
            statement = select(*NOTIFICATION_COLUMNS).where(Notification.id.in_(fitting))
            rows = session.execute(statement.order_by(Notification.id.desc())).all()
            return HistoryPage(self._reports(session, rows, query.visible), next_cursor)

    def reports(self, notification_ids: Sequence[str]) -> dict[str, NotificationReport]:
        """Return the existing notifications among those given, by id."""
        found: dict[str, NotificationReport] = {}
        with self._database.reading() as session:
            for chunk in _chunks(notification_ids):
                statement = select(*NOTIFICATION_COLUMNS).where(Notification.id.in_(chunk))
                reports = self._reports(session, session.execute(statement).all(), None)
                found.update((report.id, report) for report in reports)
        return found

    def still_open(self, notification_ids: Collection[str]) -> set[str]:
        """Return the notifications, among those given, with open deliveries."""
        found: set[str] = set()
        with self._database.reading() as session:
            for chunk in _chunks(sorted(notification_ids)):
                is_open = (Delivery.notification_id.in_(chunk), IS_OPEN)
                found.update(session.scalars(select(Delivery.notification_id).where(*is_open)))
        return found

    def failed(self, team_id: str, most: int) -> list[NotificationReport]:
        """Return the latest notifications with deliveries that failed, the newest first.

        Returns: reports with the failed deliveries, and summaries of the contents.
        """
        with self._database.reading() as session:
            pages = [
                find_page(session, team_id, HistoryQuery(state=StateFilter(state)), most, None)[0]
                for state in FAILED_STATES
            ]
            latest = sorted({id_ for page in pages for id_ in page}, reverse=True)[:most]
            fitting = first_with_fitting_deliveries(session, latest, IS_TROUBLED)
            statement = select(*SUMMARY_COLUMNS).where(Notification.id.in_(fitting))
            rows = session.execute(statement.order_by(Notification.id.desc())).all()
            return build_reports(session, rows, self._public_url, IS_TROUBLED)

    def cancel(
        self,
        team_id: str,
        notification_id: str,
        visible: Visible | None = None,
        *,
        by: Credential | None = None,
    ) -> Cancelled:
        """Cancel the pending deliveries of a workspace's notification, except refreshes.

        Args:
            visible: limits the deliveries that may be seen; None: no limit.
            by: the API key that cancels them.

        Raises:
            RevokedError, NotInstalledError: see `SenderLimits.charge`.
        """
        with self._database.writing() as session:
            if by is not None:
                # Its request was charged; this checks the key again.
                self._limits.charge(session.connection(), [Charge(by)], self._clock())
            ids = self._cancel(session, team_id, _deliveries_of(team_id, notification_id))
            found = find_delivery_reports(session, [notification_id], *_shown(visible))
        reports = found[notification_id]
        return Cancelled(
            [report for report in reports if report.id in ids],
            [report for report in reports if report.id not in ids],
        )

    def cancel_all(self, credential: Credential) -> int:
        """Cancel all pending deliveries of an API key or webhook, except refreshes.

        Returns: how many were cancelled.
        """
        sent_by_it = (
            select(Delivery.id, Delivery.team_id)
            .join(Notification, Notification.id == Delivery.notification_id)
            .where(is_delivery_of(credential.name))
        )
        number = 0
        for condition in (IS_OPEN, IS_TROUBLED):
            found = sent_by_it.where(condition, MAY_GO_OUT).limit(_CHUNK)
            while (some := self._cancel_some(found)) is not None:
                number += some
        # Only messages about incidents are posted again. Without an index for them, they are
        # searched for once, and not while other writers wait.
        incident = and_(Incident.team_id == Delivery.team_id, Incident.key == Delivery.key)
        shown = sent_by_it.where(Delivery.state == DeliveryState.SENT, exists().where(incident))
        with self._database.reading() as session:
            ids = [row.id for row in session.execute(shown.where(MAY_GO_OUT_AGAIN))]
        for chunk in _chunks(ids):
            self._cancel_some(sent_by_it.where(Delivery.id.in_(chunk)))
        return number

    def _cancel_some(self, found: Select[int, str]) -> int | None:
        """Cancel the deliveries of a statement that are in the workspace of the first.

        Returns: how many were cancelled; None if the statement has no rows.
        """
        with self._database.writing() as session:
            rows = session.execute(found).all()
            if not rows:
                return None
            team_id = rows[0].team_id
            ids = [row.id for row in rows if row.team_id == team_id]
            return len(self._cancel(session, team_id, Delivery.id.in_(ids)))

    def _cancel(self, session: Session, team_id: str, which: ColumnElement[bool]) -> set[int]:
        """Cancel deliveries, and let those that were attempted not go out again by themselves.

        Returns: the ids of those that were cancelled.
        """
        seq = begin_change(session.connection(), [team_id])[team_id]
        statement = update(Delivery).where(which, MAY_GO_OUT).values(cancelled(self._clock(), seq))
        changed = session.execute(statement.returning(Delivery.id, Delivery.state))
        return {row.id for row in changed if row.state == DeliveryState.CANCELLED}

    def retry(
        self,
        team_id: str,
        notification_id: str,
        only: Collection[int] | None = None,
        *,
        by: Credential | None = None,
    ) -> None:
        """Queue the dead and unknown deliveries of a notification again.

        An expiry that has passed is ignored. Deliveries to people whose data was deleted have no
        address and cannot be retried, and the escalation of an answered incident is not.

        Args:
            only: the ids of the deliveries to retry; None: all.
            by: the API key that retries them, which is charged for them.

        Raises:
            NothingToRetryError: no delivery is dead or unknown.
            ErasedRecipientError: all such deliveries were for people whose data was deleted.
            AnsweredIncidentError: all such deliveries were to follow an incident that was answered.
            ReplacedMessageError: later notifications have updated the messages.
            RevokedError, LimitError, NotInstalledError: see `SenderLimits.charge`.
        """
        has_failed = _has_failed(team_id, notification_id, only)
        with self._limits.counting_rejections(by), self._database.writing() as session:
            now = self._clock()
            record_effect(session, now, team_id)
            if by is not None:
                charge = Charge(by, deliveries=_count_addressed(session, has_failed))
                self._limits.charge(session.connection(), [charge], now)
            seq = begin_change(session.connection(), [team_id])[team_id]
            values = {**requeued(now), "seq": seq}
            retriable = (Delivery.target != DELETED_ADDRESS, ~IS_CANCELLED_FOLLOWUP, ~is_replaced())
            changed = session.execute(update(Delivery).where(has_failed, *retriable).values(values))
            if changed.rowcount == 0:  # type: ignore[attr-defined]
                failed = select(Delivery.target, IS_CANCELLED_FOLLOWUP).where(has_failed)
                raise _nothing_to_retry(session.execute(failed).all())
        self._wakeup.notify(team_id)

    def recipients_of(self, team_id: str, notification_id: str) -> Recipients:
        """Return the recipients that the sender of a notification named."""
        is_of_it = _deliveries_of(team_id, notification_id)
        columns = Delivery.target, Delivery.subscription_id, Delivery.mode, Lane.address
        sent = select(*columns).join(Lane, Lane.id == Delivery.lane_id).where(is_of_it)
        topics = select(Notification.topics).where(Notification.id == notification_id)
        with self._database.reading() as session:
            rows = session.execute(sent).all()
            names = (session.scalar(topics) or "").split()
            by_name = {
                row.address: row.target
                for row in rows
                if row.subscription_id is None
                and row.target.startswith("#")
                and is_channel(row.address)
            }
            renamed = renamed_among(session.connection(), team_id, by_name)
        recipients = [f"topic:{name}" for name in names]
        for row in rows:
            if row.subscription_id is None:
                recipients.append(row.target)
            elif row.mode == DeliveryMode.ESCALATE:
                recipients.append("topic:*")  # the topics of an escalation are not stored
            elif not names:
                recipients.append(row.target)  # a digest
        return Recipients(recipients, {id_: by_name[id_] for id_ in renamed})

    def _reports(
        self, session: Session, rows: Sequence[Any], visible: Visible | None
    ) -> list[NotificationReport]:
        return build_reports(session, rows, self._public_url, *_shown(visible))


def _with_named(connection: Connection, team_id: str, addresses: Collection[str]) -> list[str]:
    """Return addresses, and the ids of the channels that have the names among them now."""
    names = [address[1:] for address in addresses if address.startswith("#")]
    return [*addresses, *find_named(connection, team_id, names).values()]


def _nothing_to_retry(failed: Sequence[Any]) -> NothingToRetryError:
    """Return the error, given the targets of failed deliveries, and whether each was answered."""
    if not failed:
        return NothingToRetryError()
    if all(target == DELETED_ADDRESS for target, _ in failed):
        return ErasedRecipientError()
    if all(is_answered for _, is_answered in failed):
        return AnsweredIncidentError()
    return ReplacedMessageError()


def _deliveries_of(team_id: str, notification_id: str) -> ColumnElement[bool]:
    """Return the condition for the deliveries of a workspace's notification."""
    return Delivery.notification_id == (
        select(Notification.id)
        .where(Notification.id == notification_id, Notification.team_id == team_id)
        .scalar_subquery()
    )


def _has_failed(
    team_id: str, notification_id: str, only: Collection[int] | None
) -> ColumnElement[bool]:
    has_failed = and_(_deliveries_of(team_id, notification_id), IS_TROUBLED)
    return has_failed if only is None else and_(has_failed, is_any_of(Delivery.id, values=only))


def _count_addressed(session: Session, condition: ColumnElement[bool]) -> int:
    """Return the number of deliveries that a sender is charged for."""
    found = select(Delivery.notification_id, Delivery.subscription_id).where(condition)
    return count_addressed((row[0], row[1], None) for row in session.execute(found))


def _shown(visible: Visible | None) -> list[ColumnElement[bool]]:
    """Return the conditions for the deliveries that may be seen."""
    return [] if visible is None else [visible.shows_delivery()]


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
