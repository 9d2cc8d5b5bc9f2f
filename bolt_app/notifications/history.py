"""What became of notifications: found, listed, cancelled, sent again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import (
    IS_HELD,
    IS_OPEN,
    IS_PENDING,
    IS_TROUBLED,
    IS_WAITING,
    Delivery,
    Incident,
    Lane,
    Notification,
    TeamPace,
)
from bolt_app.notifications.bell import Bell
from bolt_app.notifications.ids import id_of_moment
from bolt_app.notifications.incident_messages import REFRESH
from bolt_app.notifications.lanes import open_lanes
from bolt_app.notifications.page_addresses import page_url
from bolt_app.notifications.reports import (
    DeliveryError,
    DeliveryReport,
    IncidentReport,
    NotificationReport,
)
from bolt_app.slack_api import SlackCallError

# So many notifications are looked at for one page, however few of them match.
WINDOW = 2000
_CHUNK = 500
_NOTIFICATION = (
    Notification.id,
    Notification.source,
    Notification.key,
    Notification.created_at,
    Notification.content,
)
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
# The deliveries in these states are few, or found by an index of their own.
_BY_INDEX: Mapping[str, ColumnElement[bool]] = {
    "waiting": IS_WAITING,  # type: ignore[dict-item]
    "held": IS_HELD,  # type: ignore[dict-item]
    "dead": and_(IS_TROUBLED, Delivery.state == "dead"),
    "unknown": and_(IS_TROUBLED, Delivery.state == "unknown"),
    "sending": and_(Delivery.id == Lane.sending_id, text("deliveries.state = 'sending'")),
}
T = TypeVar("T")


class NothingToRetryError(Exception):
    """No delivery of the notification is dead or unknown."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing of this notification can be sent again: only what is dead or unknown can."
        )


@dataclass(frozen=True)
class Filter:
    """Which notifications to list; what is left out lets all of them through.

    Attributes:
        state: one of their deliveries is in this state.
        to: one of their deliveries is for this address.
        source: which way in they took.
        since: accepted at this moment or later.
        until: accepted before this moment.
        ids: no others than these.
    """

    state: str | None = None
    key: str | None = None
    to: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[str] | None = None


@dataclass(frozen=True)
class HistoryPage:
    """Some notifications, the newest first, and where the next page begins.

    A page may have fewer than were asked for, or none, and still be followed by others.
    """

    notifications: list[NotificationReport]
    next_cursor: str | None


@dataclass(frozen=True)
class Cancelled:
    """What was cancelled, and what could not be because it had gone out or ended otherwise."""

    cancelled: list[DeliveryReport]
    kept: list[DeliveryReport]


class History:
    """Reads and changes what was accepted."""

    def __init__(
        self, database: Database, bell: Bell, public_url: str, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._bell = bell
        self._public_url = public_url
        self._clock = clock

    def find(self, team_id: str, notification_id: str) -> NotificationReport | None:
        """Return a notification of a workspace, with every delivery."""
        mine = (Notification.id == notification_id, Notification.team_id == team_id)
        with self._database.reading() as session:
            rows = session.execute(select(*_NOTIFICATION).where(*mine)).all()
            return next(iter(self._reports(session, rows)), None)

    def find_by_message(self, team_id: str, channel_id: str, ts: str) -> str | None:
        """Return the id of the notification that a message shows, the last that was put there."""
        statement = (
            select(Delivery.notification_id)
            .join(Lane, Lane.id == Delivery.lane_id)
            .where(
                Delivery.channel_id == channel_id,
                Delivery.ts == ts,
                Delivery.ts.is_not(None),
                Delivery.state == "sent",
                Delivery.mode != REFRESH,
                Lane.team_id == team_id,
            )
            .order_by(Delivery.id.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalar(statement)

    def search(
        self, team_id: str, wanted: Filter, *, limit: int = 50, cursor: str | None = None
    ) -> HistoryPage:
        """Return the notifications of a workspace that pass the filter, the newest first.

        Args:
            cursor: where an earlier page said that the next one begins.
        """
        with self._database.reading() as session:
            ids, next_cursor = _page(session, team_id, wanted, limit, cursor)
            statement = select(*_NOTIFICATION).where(Notification.id.in_(ids))
            rows = session.execute(statement.order_by(Notification.id.desc())).all()
            return HistoryPage(self._reports(session, rows), next_cursor)

    def reports(self, notification_ids: Sequence[str]) -> dict[str, NotificationReport]:
        """Return notifications by their ids, those that exist."""
        found: dict[str, NotificationReport] = {}
        with self._database.reading() as session:
            for chunk in _chunks(notification_ids):
                statement = select(*_NOTIFICATION).where(Notification.id.in_(chunk))
                reports = self._reports(session, session.execute(statement).all())
                found.update((one.id, one) for one in reports)
        return found

    def still_open(self, notification_ids: Collection[str]) -> set[str]:
        """Return those of the notifications of which anything may still change."""
        found: set[str] = set()
        with self._database.reading() as session:
            for chunk in _chunks(sorted(notification_ids)):
                mine = (Delivery.notification_id.in_(chunk), IS_OPEN)
                found.update(session.scalars(select(Delivery.notification_id).where(*mine)))
        return found

    def cancel(self, team_id: str, notification_id: str) -> Cancelled:
        """Cancel those deliveries of a workspace's notification that wait or are held."""

        def change(session: Session, mine: ColumnElement[bool]) -> Cancelled:
            statement = (
                update(Delivery)
                .where(mine, IS_PENDING)
                .values(state="cancelled", finished_at=self._clock())
                .returning(Delivery.id)
            )
            ids = set(session.scalars(statement))
            all_of_it = _delivery_reports(session, [notification_id])[notification_id]
            return Cancelled(
                [one for one in all_of_it if one.id in ids],
                [one for one in all_of_it if one.id not in ids],
            )

        return self._change(team_id, notification_id, IS_PENDING, change)

    def retry(self, team_id: str, notification_id: str) -> None:
        """Let the deliveries of a notification that are dead or unknown go out after all, now.

        An expiry that has passed meanwhile counts no more: somebody wants it in spite of it.

        Raises:
            NothingToRetryError: none is.
        """

        def change(session: Session, mine: ColumnElement[bool]) -> bool:
            now = self._clock()
            lanes = select(Lane.address).join(Delivery, Delivery.lane_id == Lane.id).distinct()
            addresses = session.scalars(lanes.where(mine, IS_TROUBLED)).all()
            if not addresses:
                return False
            wake_at = {(team_id, address): now for address in addresses}
            open_lanes(session.connection(), wake_at)
            session.execute(update(Delivery).where(mine, IS_TROUBLED).values(_anew(now)))
            return True

        if not self._change(team_id, notification_id, IS_TROUBLED, change):
            raise NothingToRetryError
        self._bell.ring()

    def _reports(self, session: Session, rows: Sequence[Any]) -> list[NotificationReport]:
        deliveries = _delivery_reports(session, [row.id for row in rows])
        incidents = _incident_reports(session, [row for row in rows if "actions" in row.content])
        return [
            NotificationReport(
                id=row.id,
                page_url=page_url(self._public_url, row.id),
                source=row.source,
                key=row.key,
                created_at=row.created_at,
                content=row.content,
                incident=incidents.get(row.id),
                deliveries=deliveries[row.id],
            )
            for row in rows
        ]

    def _change(
        self,
        team_id: str,
        notification_id: str,
        which: Any,
        change: Callable[[Session, ColumnElement[bool]], T],
    ) -> T:
        """Change deliveries of a notification while the rows of their lanes are locked.

        Between finding the lanes and having the locks, what waits in the lane of a name may have
        moved on: then it begins anew.
        """
        mine = Delivery.notification_id == (
            select(Notification.id)
            .where(Notification.id == notification_id, Notification.team_id == team_id)
            .scalar_subquery()
        )
        lanes = select(Delivery.lane_id).where(mine, which)
        while True:
            with self._database.writing() as session:
                locked = set(
                    session.scalars(
                        select(Lane.id)
                        .where(Lane.id.in_(lanes))
                        .order_by(Lane.team_id, Lane.address)
                        .with_for_update()
                    )
                )
                if locked.issuperset(session.scalars(lanes)):
                    return change(session, mine)


def _anew(now: datetime) -> dict[str, Any]:
    passed = Delivery.expires_at <= now
    return {
        "state": "waiting",
        "attempts": 0,
        "tried_at": None,
        "attempted_at": None,
        "error": None,
        "finished_at": None,
        "send_at": now,
        "expires_at": case((passed, None), else_=Delivery.expires_at),
    }


# Pages.


def _page(
    session: Session, team_id: str, wanted: Filter, limit: int, cursor: str | None
) -> tuple[Sequence[str], str | None]:
    """Return the ids of one page, and the cursor of the next one.

    The cursor is the last id that was looked at. Where an index finds all that match, they are
    few and are looked at together; else so many notifications as make up the window are.
    """
    within = [Notification.team_id == team_id, *_within(Notification.id, wanted, cursor)]
    looks_at_each = wanted.source is not None or wanted.to is not None or wanted.state is not None
    by_index = _found_by_index(team_id, wanted)
    if by_index is not None:
        statement = _select_found(by_index, wanted, cursor)
    elif wanted.ids is not None or not looks_at_each:
        statement = select(Notification.id).where(*within, *_matching(wanted, Notification))
    else:
        return _page_of_window(session, _window(within), wanted, limit)
    ids = _newest(session, statement, statement.selected_columns[0], limit)
    return ids[:limit], ids[limit - 1] if len(ids) > limit else None


def _page_of_window(
    session: Session, window: Subquery, wanted: Filter, limit: int
) -> tuple[Sequence[str], str | None]:
    statement = select(window.c.id).where(*_matching(wanted, window.c))
    ids = _newest(session, statement, window.c.id, limit)
    if len(ids) > limit:
        return ids[:limit], ids[limit - 1]
    end = select(window.c.id).order_by(window.c.id.desc()).offset(WINDOW - 1)
    return ids, session.scalar(end)


def _newest(
    session: Session, statement: Select[str], id_: ColumnElement[str], limit: int
) -> Sequence[str]:
    """Return one more than `limit`, which tells whether there are more."""
    return list(session.scalars(statement.order_by(id_.desc()).limit(limit + 1)))


def _within(id_: Any, wanted: Filter, cursor: str | None) -> list[ColumnElement[bool]]:
    """Return the conditions on ids, which begin with the time."""
    conditions: list[ColumnElement[bool]] = []
    if cursor is not None:
        conditions.append(id_ < cursor)
    if wanted.since is not None:
        conditions.append(id_ >= id_of_moment(wanted.since))
    if wanted.until is not None:
        conditions.append(id_ < id_of_moment(wanted.until))
    if wanted.ids is not None:
        conditions.append(id_.in_(wanted.ids))
    return conditions


def _matching(wanted: Filter, notification: Any) -> list[ColumnElement[bool]]:
    """Return the conditions that each notification is to be looked at for."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.source is not None:
        conditions.append(notification.source == wanted.source)
    if wanted.key is not None:
        conditions.append(notification.key == wanted.key)
    deliveries: list[ColumnElement[bool]] = []
    if wanted.state is not None:
        deliveries.append(Delivery.state == wanted.state)
    if wanted.to is not None:
        deliveries.append(Delivery.target == wanted.to)
    if deliveries:
        mine = Delivery.notification_id == notification.id
        conditions.append(select(Delivery.id).where(mine, *deliveries).exists())
    return conditions


def _found_by_index(team_id: str, wanted: Filter) -> Select[str] | None:
    """Return a statement for the notifications that match, where an index has them."""
    found = select(Delivery.notification_id).join(Lane, Delivery.lane_id == Lane.id).distinct()
    if wanted.key is not None:
        return found.where(Lane.team_id == team_id, Delivery.key == wanted.key)
    by_index = None if wanted.state is None else _BY_INDEX.get(wanted.state)
    return None if by_index is None else found.where(Lane.team_id == team_id, by_index)


def _select_found(found: Select[str], wanted: Filter, cursor: str | None) -> Select[str]:
    # Materialized, so that nothing of what follows leads away from the index.
    candidates = found.cte("found").prefix_with("MATERIALIZED")
    id_ = candidates.c.notification_id
    statement = select(id_).where(*_within(id_, wanted, cursor))
    if wanted.key is not None:
        rest = replace(wanted, key=None)
    elif wanted.to is None:
        rest = replace(wanted, state=None)
    else:  # one delivery has both
        rest = wanted
    matching = _matching(rest, Notification)
    if not matching:
        return statement
    return statement.join(Notification, Notification.id == id_).where(*matching)


def _window(within: Iterable[ColumnElement[bool]]) -> Subquery:
    columns = Notification.id, Notification.source, Notification.key
    newest = select(*columns).where(*within).order_by(Notification.id.desc())
    return newest.limit(WINDOW).subquery()


# Reports.


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
    return {
        id_: IncidentReport.model_validate(incident, from_attributes=True)
        for id_, incident in session.execute(statement)
    }


def _delivery_reports(
    session: Session, notification_ids: Sequence[str]
) -> dict[str, list[DeliveryReport]]:
    statement = (
        select(*_DELIVERY, TeamPace.reason)
        .join(Lane, Lane.id == Delivery.lane_id)
        .outerjoin(TeamPace, TeamPace.team_id == Lane.team_id)
        .where(Delivery.notification_id.in_(notification_ids), Delivery.mode != REFRESH)
        .order_by(Delivery.id)
    )
    reports: dict[str, list[DeliveryReport]] = {id_: [] for id_ in notification_ids}
    if notification_ids:
        for row in session.execute(statement):
            reports[row.notification_id].append(_delivery_report(row))
    return reports


def _delivery_report(row: Any) -> DeliveryReport:
    # What waits for a dead installation says so before it was tried itself.
    code = row.error or (row.reason if row.state == "waiting" else None)
    return DeliveryReport(
        id=row.id,
        to=row.target,
        state=row.state,
        attempts=row.attempts,
        error=None if code is None else _error(code),
        channel_id=row.channel_id,
        ts=row.ts,
        permalink=row.permalink,
        digest_id=row.digest_id,
        send_at=row.send_at,
        expires_at=row.expires_at,
        finished_at=row.finished_at,
    )


def _error(code: str) -> DeliveryError:
    return DeliveryError(code=code, sentence=SlackCallError("chat.postMessage", code).sentence)


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
