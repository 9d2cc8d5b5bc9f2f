"""Search: pages of notifications that match a query, without a scan of the whole history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, or_, select
from sqlalchemy.orm import Session

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import (
    IS_HELD,
    IS_OPEN,
    IS_QUEUED,
    IS_SENDING,
    IS_TROUBLED,
    IS_UNROUTED,
    Channel,
    Delivery,
    Lane,
    Notification,
)
from bolt_app.notifications.content.ids import id_of_moment
from bolt_app.notifications.content.states import DeliveryState, StateFilter
from bolt_app.notifications.history.publication import IS_PUBLISHED
from bolt_app.slack_ids import is_channel, is_person
from bolt_app.workspaces.channels import IS_PUBLIC

# The most notifications that are scanned for one page, however few of them match.
WINDOW = 2000
# The deliveries in these states are few, or have an index.
_BY_INDEX: Mapping[str, ColumnElement[bool]] = {
    # SQLite uses a partial index only if its condition is repeated.
    DeliveryState.WAITING: and_(IS_OPEN, IS_QUEUED),
    DeliveryState.HELD: and_(IS_OPEN, IS_HELD),
    DeliveryState.SENDING: and_(IS_OPEN, IS_SENDING),
    DeliveryState.DEAD: and_(IS_TROUBLED, Delivery.state == DeliveryState.DEAD),
    DeliveryState.UNKNOWN: and_(IS_TROUBLED, Delivery.state == DeliveryState.UNKNOWN),
}


@dataclass(frozen=True)
class Visible:
    """The notifications and deliveries that a restricted API key may see.

    Attributes:
        sources: credentials whose notifications it may see without further limits.
        addresses: ids of channels and people; notifications of others must be published, and only
            there; None: anywhere. Deliveries to subscribers elsewhere are hidden, in its own
            notifications too. A name or e-mail address shows nothing: the delivery may be for
            another channel or person in the end.
        public_of: a workspace in whose public channels alone they must be; None: anywhere.
    """

    sources: Collection[str]
    addresses: Collection[str] | None = field(default=None, repr=False)
    public_of: str | None = None

    def condition(self, notification: Any) -> ColumnElement[bool]:
        """Return the condition for a notification, given by its columns."""
        deliveries = select(Delivery.id).join(Lane, Lane.id == Delivery.lane_id)
        deliveries = deliveries.where(Delivery.notification_id == notification.id)
        elsewhere = deliveries.where(~and_(*self._is_within()))
        # Like people, it sees nothing that was withdrawn, nor an escalation before it goes out.
        is_within = and_(deliveries.where(IS_PUBLISHED).exists(), ~elsewhere.exists())
        return or_(is_any_of(notification.source, values=self.sources), is_within)

    def shows_delivery(self) -> ColumnElement[bool]:
        """Return the condition for a delivery, joined with its lane.

        Nothing that the sender did not name is shown elsewhere, not even its number or its state:
        they would tell whether an address that the sender named as well is a subscriber.
        """
        return or_(Delivery.subscription_id.is_(None), and_(*self._is_within()))

    def _is_within(self) -> Iterator[ColumnElement[bool]]:
        if self.addresses is not None:
            yield or_(
                is_any_of(Lane.address, values=[*filter(is_channel, self.addresses)]),
                # A delivery in a person's lane may be for another person in the end. The condition
                # is negated too, and must not be NULL.
                is_any_of(
                    func.coalesce(Delivery.recipient_id, ""),
                    values=[*filter(is_person, self.addresses)],
                ),
            )
        if self.public_of is not None:
            public = select(Channel.channel_id).where(Channel.team_id == self.public_of, IS_PUBLIC)
            yield Lane.address.in_(public)


@dataclass(frozen=True)
class HistoryQuery:
    """A query for notifications; all given attributes must match.

    Attributes:
        state: of one of their deliveries, or UNROUTED for notifications without any.
        to: the recipient of one of their deliveries.
        source: the credential that sent them, or its source.
        since: accepted at this moment or later.
        until: accepted before this moment.
        ids: only these.
        visible: only those that may be seen.
        stored_keys: `key` as each source of the workspace would store it.
        sources: `source` and the credentials that share it.
    """

    state: StateFilter | None = None
    key: str | None = None
    to: str | None = field(default=None, repr=False)
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[str] | None = None
    visible: Visible | None = None
    stored_keys: Sequence[str] = ()
    sources: Sequence[str] = ()


def find_page(
    session: Session, team_id: str, query: HistoryQuery, limit: int, cursor: str | None
) -> tuple[Sequence[str], str | None]:
    """Return the ids of one page, and the cursor of the next one.

    The cursor is the last id that was scanned. If an index finds all matches, they are few and are
    read together; otherwise a window of the newest notifications is scanned.
    """
    within = [Notification.team_id == team_id, *_within(Notification.id, query, cursor)]
    if query.state == StateFilter.UNROUTED:
        # It has an index.
        within.append(IS_UNROUTED)  # type: ignore[arg-type]
        query = replace(query, state=None)
    unindexed = query.source, query.to, query.state, query.visible
    needs_scan = any(value is not None for value in unindexed)
    by_index = _found_by_index(team_id, query)
    if by_index is not None:
        statement = _select_found(by_index, query, cursor)
    elif query.ids is not None or not needs_scan:
        statement = select(Notification.id).where(*within, *_matching(query, Notification))
    else:
        return _page_of_window(session, _window(within), query, limit)
    ids = _newest(session, statement, statement.selected_columns[0], limit)
    return ids[:limit], ids[limit - 1] if len(ids) > limit else None


def _page_of_window(
    session: Session, window: Subquery, query: HistoryQuery, limit: int
) -> tuple[Sequence[str], str | None]:
    statement = select(window.c.id).where(*_matching(query, window.c))
    ids = _newest(session, statement, window.c.id, limit)
    if len(ids) > limit:
        return ids[:limit], ids[limit - 1]
    end = select(window.c.id).order_by(window.c.id.desc()).offset(WINDOW - 1)
    return ids, session.scalar(end)


def _newest(
    session: Session, statement: Select[str], id_: ColumnElement[str], limit: int
) -> Sequence[str]:
    """Return up to one more than `limit`, so that the caller sees whether there are more."""
    return list(session.scalars(statement.order_by(id_.desc()).limit(limit + 1)))


def _within(id_: Any, query: HistoryQuery, cursor: str | None) -> list[ColumnElement[bool]]:
    """Return the conditions on ids, which start with the time."""
    conditions: list[ColumnElement[bool]] = []
    if cursor is not None:
        conditions.append(id_ < cursor)
    if query.since is not None:
        conditions.append(id_ >= id_of_moment(query.since))
    if query.until is not None:
        conditions.append(id_ < id_of_moment(query.until))
    if query.ids is not None:
        conditions.append(is_any_of(id_, values=query.ids))
    return conditions


def _matching(query: HistoryQuery, notification: Any) -> list[ColumnElement[bool]]:
    """Return the conditions that are tested for each notification."""
    conditions: list[ColumnElement[bool]] = []
    if query.source is not None:
        conditions.append(is_any_of(notification.source, values=query.sources))
    if query.key is not None:
        conditions.append(is_any_of(notification.key, values=query.stored_keys))
    if query.visible is not None:
        conditions.append(query.visible.condition(notification))
    deliveries: list[ColumnElement[bool]] = []
    if query.state == StateFilter.WAITING:
        deliveries.append(IS_QUEUED)  # type: ignore[arg-type]
    elif query.state is not None:
        deliveries.append(Delivery.state == query.state)
    if query.to is not None:
        deliveries.append(Delivery.target == query.to)
    if deliveries:
        if query.visible is not None:
            deliveries.append(query.visible.shows_delivery())
        found = select(Delivery.id).join(Lane, Lane.id == Delivery.lane_id)
        is_of_it = Delivery.notification_id == notification.id
        conditions.append(found.where(is_of_it, *deliveries).exists())
    return conditions


def _found_by_index(team_id: str, query: HistoryQuery) -> Select[str] | None:
    """Return a statement for the matching notifications, or None without an index for them."""
    found = select(Delivery.notification_id).join(Lane, Delivery.lane_id == Lane.id).distinct()
    if query.key is not None:
        return found.where(
            Lane.team_id == team_id, is_any_of(Delivery.key, values=query.stored_keys)
        )
    by_index = None if query.state is None else _BY_INDEX.get(query.state)
    if by_index is None:
        return None
    return found.where(Lane.team_id == team_id, Delivery.team_id == team_id, by_index)


def _select_found(found: Select[str], query: HistoryQuery, cursor: str | None) -> Select[str]:
    # Materialized, so that the planner uses the index whatever follows.
    candidates = found.cte("found").prefix_with("MATERIALIZED")
    id_ = candidates.c.notification_id
    statement = select(id_).where(*_within(id_, query, cursor))
    if query.key is not None:
        rest = replace(query, key=None)
    elif query.to is None and query.visible is None:
        rest = replace(query, state=None)
    else:  # one delivery must match all
        rest = query
    matching = _matching(rest, Notification)
    if not matching:
        return statement
    return statement.join(Notification, Notification.id == id_).where(*matching)


def _window(within: Iterable[ColumnElement[bool]]) -> Subquery:
    columns = Notification.id, Notification.source, Notification.key
    newest = select(*columns).where(*within).order_by(Notification.id.desc())
    return newest.limit(WINDOW).subquery()
