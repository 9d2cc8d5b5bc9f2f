"""Stored notifications and deliveries as reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, TextClause, func, select
from sqlalchemy.orm import Session

from bolt_app.credentials.sources import plain_key
from bolt_app.db.content import content_summary, stored_length
from bolt_app.db.models import (
    CANCELLED_EXPIRY,
    Delivery,
    Incident,
    Lane,
    Notification,
    WorkspaceQueue,
)
from bolt_app.notifications.content.modes import SILENT
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.states import ShownState, shown_state
from bolt_app.notifications.history.reports import (
    DeliveryError,
    DeliveryReport,
    NotificationReport,
)
from bolt_app.notifications.incidents.reports import IncidentReport, incident_report
from bolt_app.slack_api import SlackCallError

Condition = ColumnElement[bool] | TextClause
# The most characters of contents, and deliveries, on a page with more than one notification.
PAGE_CHARACTERS = 2**21
PAGE_DELIVERIES = 10_000
_WITHOUT_CONTENT = (
    Notification.id,
    Notification.source,
    Notification.key,
    Notification.created_at,
    Notification.is_unrouted,
)
NOTIFICATION_COLUMNS = (*_WITHOUT_CONTENT, Notification.content)
SUMMARY_COLUMNS = (*_WITHOUT_CONTENT, content_summary(Notification.content).label("content"))
_DELIVERY = (
    Delivery.notification_id,
    Delivery.id,
    Delivery.target,
    Delivery.state,
    Delivery.attempts,
    Delivery.error,
    Delivery.channel_id,
    Delivery.ts,
    Delivery.permalink,
    Delivery.digest_id,
    Delivery.send_at,
    Delivery.expires_at,
    Delivery.finished_at,
)


def first_fitting(session: Session, ids: Sequence[str], *conditions: Condition) -> Sequence[str]:
    """Return the first ids whose contents, and deliveries that meet conditions, fit on a page."""
    lengths = select(Notification.id, stored_length(Notification.content)).where(
        Notification.id.in_(ids)
    )
    number = _fitting(ids, session.execute(lengths), PAGE_CHARACTERS)
    return first_with_fitting_deliveries(session, ids[: max(1, number)], *conditions)


def first_with_fitting_deliveries(
    session: Session, ids: Sequence[str], *conditions: Condition
) -> Sequence[str]:
    """Return the first ids whose deliveries fit on a page, as far as they meet conditions."""
    counts = (
        select(Delivery.notification_id, func.count())
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(Delivery.notification_id.in_(ids), *conditions)
        .group_by(Delivery.notification_id)
    )
    number = _fitting(ids, session.execute(counts), PAGE_DELIVERIES)
    return ids[: max(1, number)]


def _fitting(ids: Sequence[str], rows: Iterable[Any], most: int) -> int:
    """Return how many of the first ids have at most that size together, given the size of each."""
    sizes: dict[str, int] = {id_: size for id_, size in rows}
    return sum(size <= most for size in accumulate(sizes.get(id_, 0) for id_ in ids))


def build_reports(
    session: Session,
    rows: Sequence[Any],
    public_url: str,
    *conditions: Condition,
) -> list[NotificationReport]:
    """Return the reports of notifications.

    Args:
        rows: with `NOTIFICATION_COLUMNS` or `SUMMARY_COLUMNS`; without incidents for the latter.
        public_url: base of notification pages.
        conditions: that the reported deliveries, joined with their lanes, meet.
    """
    ids = [row.id for row in rows]
    deliveries = find_delivery_reports(session, ids, *conditions)
    incidents = _incident_reports(session, [row for row in rows if "actions" in row.content])
    return [
        NotificationReport(
            id=row.id,
            page_url=page_url(public_url, row.id),
            source=row.source,
            key=None if row.key is None else plain_key(row.key),
            created_at=row.created_at,
            content=row.content,
            incident=incidents.get(row.id),
            unrouted=row.is_unrouted,
            deliveries=deliveries[row.id],
        )
        for row in rows
    ]


def _incident_reports(session: Session, rows: Sequence[Any]) -> dict[str, IncidentReport]:
    if not rows:
        return {}
    statement = (
        select(Notification.id, Incident)
        .join(
            Incident,
            (Incident.team_id == Notification.team_id) & (Incident.key == Notification.key),
        )
        .where(Notification.id.in_([row.id for row in rows]))
    )
    return {id_: incident_report(incident) for id_, incident in session.execute(statement)}


def find_delivery_reports(
    session: Session, notification_ids: Sequence[str], *conditions: Condition
) -> dict[str, list[DeliveryReport]]:
    """Return the reports of notifications' deliveries, by notification id.

    Args:
        conditions: that the deliveries, joined with their lanes, meet.
    """
    statement = (
        select(*_DELIVERY, WorkspaceQueue.pause_reason)
        .join(Lane, Lane.id == Delivery.lane_id)
        .outerjoin(WorkspaceQueue, WorkspaceQueue.team_id == Delivery.team_id)
        .where(
            Delivery.notification_id.in_(notification_ids),
            Delivery.mode.not_in(SILENT),
            *conditions,
        )
        .order_by(Delivery.id)
    )
    reports: dict[str, list[DeliveryReport]] = {id_: [] for id_ in notification_ids}
    if notification_ids:
        for row in session.execute(statement):
            reports[row.notification_id].append(_delivery_report(row))
    return reports


def _delivery_report(row: Any) -> DeliveryReport:
    # A delivery that waits for a dead installation shows that error before its own first attempt.
    state = shown_state(row.state)
    code = row.error or (row.pause_reason if state == ShownState.WAITING else None)
    return DeliveryReport(
        id=row.id,
        to=row.target,
        state=state,
        attempts=row.attempts,
        error=None if code is None else _error(code),
        channel_id=row.channel_id,
        ts=row.ts,
        permalink=row.permalink,
        digest_id=row.digest_id,
        send_at=row.send_at,
        expires_at=None if row.expires_at == CANCELLED_EXPIRY else row.expires_at,
        finished_at=row.finished_at,
    )


def _error(code: str) -> DeliveryError:
    return DeliveryError(code=code, sentence=SlackCallError("chat.postMessage", code).sentence)
