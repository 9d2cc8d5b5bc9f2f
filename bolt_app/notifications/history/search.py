"""Pages of notifications that pass a filter, found without looking at each that ever was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, or_, select
from sqlalchemy.orm import Session

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
from bolt_app.notifications.content.states import UNROUTED, DeliveryState
from bolt_app.workspaces.channels import IS_PUBLIC

# So many notifications are looked at for one page, however few of them match.
WINDOW = 2000
# The deliveries in these states are few, or found by an index of their own.
_BY_INDEX: Mapping[str, ColumnElement[bool]] = {
    # SQLite finds an index by its own condition only.
    DeliveryState.WAITING: and_(IS_OPEN, IS_QUEUED),
    DeliveryState.HELD: and_(IS_OPEN, IS_HELD),
    DeliveryState.SENDING: and_(IS_OPEN, IS_SENDING),
    DeliveryState.DEAD: and_(IS_TROUBLED, Delivery.state == DeliveryState.DEAD),
    DeliveryState.UNKNOWN: and_(IS_TROUBLED, Delivery.state == DeliveryState.UNKNOWN),
}


@dataclass(frozen=True)
class Visible:
    """What an API key may see that may not see everything.

    Attributes:
        sources: what its own source has sent, by the names of the credentials.
        addresses: what has gone to these alone, from any source; None: to any.
        public_of: a workspace; of what others have sent, only what has gone to public channels of
            it alone. None: wherever it went.
    """

    sources: Collection[str]
    addresses: Collection[str] | None = None
    public_of: str | None = None

    def condition(self, notification: Any) -> ColumnElement[bool]:
        """Return the condition for a notification, given by its columns."""
        mine = select(Delivery.id).join(Lane, Lane.id == Delivery.lane_id)
        mine = mine.where(Delivery.notification_id == notification.id)
        elsewhere = mine.where(or_(*self._is_elsewhere()))
        is_within = and_(mine.exists(), ~elsewhere.exists())
        return or_(notification.source.in_(self.sources), is_within)

    def _is_elsewhere(self) -> Iterator[ColumnElement[bool]]:
        if self.addresses is not None:
            yield Lane.address.not_in(self.addresses)
        if self.public_of is not None:
            public = select(Channel.channel_id).where(Channel.team_id == self.public_of, IS_PUBLIC)
            yield Lane.address.not_in(public)


@dataclass(frozen=True)
class HistoryQuery:
    """Which notifications to list; what is left out lets all of them through.

    Attributes:
        state: one of their deliveries is in this state, or nothing is delivered (`UNROUTED`).
        to: one of their deliveries is for this address.
        source: the credential that sent them, or its source.
        since: accepted at this moment or later.
        until: accepted before this moment.
        ids: no others than these.
        visible: no others than those that may be seen.
        stored_keys: `key` as each source of the workspace would store it.
        sources: `source` and the credentials that share it.
    """

    state: str | None = None
    key: str | None = None
    to: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[str] | None = None
    visible: Visible | None = None
    stored_keys: Sequence[str] = ()
    sources: Sequence[str] = ()


def find_page(
    session: Session, team_id: str, wanted: HistoryQuery, limit: int, cursor: str | None
) -> tuple[Sequence[str], str | None]:
    """Return the ids of one page, and the cursor of the next one.

    The cursor is the last id that was looked at. Where an index finds all that match, they are
    few and are looked at together; else so many notifications as make up the window are.
    """
    within = [Notification.team_id == team_id, *_within(Notification.id, wanted, cursor)]
    if wanted.state == UNROUTED:
        # An index has them.
        within.append(IS_UNROUTED)  # type: ignore[arg-type]
        wanted = replace(wanted, state=None)
    each = wanted.source, wanted.to, wanted.state, wanted.visible
    looks_at_each = any(one is not None for one in each)
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
    session: Session, window: Subquery, wanted: HistoryQuery, limit: int
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


def _within(id_: Any, wanted: HistoryQuery, cursor: str | None) -> list[ColumnElement[bool]]:
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


def _matching(wanted: HistoryQuery, notification: Any) -> list[ColumnElement[bool]]:
    """Return the conditions that each notification is to be looked at for."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.source is not None:
        conditions.append(notification.source.in_(wanted.sources))
    if wanted.key is not None:
        conditions.append(notification.key.in_(wanted.stored_keys))
    if wanted.visible is not None:
        conditions.append(wanted.visible.condition(notification))
    deliveries: list[ColumnElement[bool]] = []
    if wanted.state == DeliveryState.WAITING:
        deliveries.append(IS_QUEUED)  # type: ignore[arg-type]
    elif wanted.state is not None:
        deliveries.append(Delivery.state == wanted.state)
    if wanted.to is not None:
        deliveries.append(Delivery.target == wanted.to)
    if deliveries:
        mine = Delivery.notification_id == notification.id
        conditions.append(select(Delivery.id).where(mine, *deliveries).exists())
    return conditions


def _found_by_index(team_id: str, wanted: HistoryQuery) -> Select[str] | None:
    """Return a statement for the notifications that match, where an index has them."""
    found = select(Delivery.notification_id).join(Lane, Delivery.lane_id == Lane.id).distinct()
    if wanted.key is not None:
        return found.where(Lane.team_id == team_id, Delivery.key.in_(wanted.stored_keys))
    by_index = None if wanted.state is None else _BY_INDEX.get(wanted.state)
    if by_index is None:
        return None
    return found.where(Lane.team_id == team_id, Delivery.team_id == team_id, by_index)


def _select_found(found: Select[str], wanted: HistoryQuery, cursor: str | None) -> Select[str]:
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
