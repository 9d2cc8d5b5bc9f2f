"""Statistics of a workspace's deliveries, limited to what a viewer may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, ScalarSelect, Select, and_, bindparam, func, literal, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.bulk import is_any_of
from bolt_app.db.content import content_summary
from bolt_app.db.models import (
    IS_HELD,
    IS_OPEN,
    IS_QUEUED,
    IS_TROUBLED,
    IS_UNROUTED,
    Channel,
    Delivery,
    Lane,
    Notification,
)
from bolt_app.notifications.content.ids import id_of_moment
from bolt_app.notifications.content.meaning import severity_of
from bolt_app.notifications.content.modes import SILENT, DeliveryMode
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.history.publication import IS_PUBLISHED
from bolt_app.severity import Severity
from bolt_app.workspaces.channels import IS_PUBLIC

# The most notifications that are scanned, however few of them went to public channels.
WINDOW = 100
# Not posted so far, or posted only in a digest.
_UNSEEN = (
    DeliveryState.WAITING,
    DeliveryState.SCHEDULED,
    DeliveryState.HELD,
    DeliveryState.SENDING,
    DeliveryState.DIGESTED,
)
# Counts stop here.
MOST_COUNTED = 1000
UNROUTED_WITHIN = timedelta(days=7)


@dataclass(frozen=True)
class SeenDelivery:
    """A delivery to a public channel, or to one that the viewer is in."""

    notification_id: str
    channel_id: str
    headline: str = field(repr=False)
    severity: Severity | None
    state: str
    at: datetime


@dataclass(frozen=True)
class Health:
    """Statistics of a workspace; counts stop at `MOST_COUNTED`.

    Attributes:
        waiting: deliveries that will go out, now or later.
        held: deliveries that will go out in a digest.
        troubled: deliveries that ended dead or unknown and were not retried.
        unrouted: recent notifications that no subscription matched; 0 if the viewer does not see
            the whole workspace.
        recent: the latest deliveries to visible channels, newest first.
    """

    waiting: int
    held: int
    troubled: int
    unrouted: int
    recent: Sequence[SeenDelivery]


class Statistics:
    """Computes statistics of workspaces."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def of_team(
        self, team_id: str, *, channels: Collection[str] | None = None, most: int = 5
    ) -> Health:
        """Return the statistics of a workspace, with up to `most` recent deliveries.

        Args:
            channels: limits them to channels, by id; None counts everything, and shows recent
                deliveries to public channels.
        """
        values: dict[str, Any] = {"team_id": team_id, "most": most}
        if channels is not None:
            return self._of_channels({**values, "channels": list(channels)})
        values["unrouted_since"] = id_of_moment(self._clock() - UNROUTED_WITHIN)
        [counts] = self._database.fetch(_COUNTS, values)
        return _health(counts, self._database.fetch(_RECENT, values))

    def _of_channels(self, values: dict[str, Any]) -> Health:
        with self._database.reading_connection() as connection:
            counts = connection.execute(_COUNTS_IN_CHANNELS, values).one()
            return _health(counts, connection.execute(_RECENT_IN_CHANNELS, values).all())


def _count(condition: Any, *scope: Any) -> ScalarSelect[int]:
    some = (
        select(Delivery.id)
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(
            Lane.team_id == bindparam("team_id"),
            Delivery.team_id == bindparam("team_id"),
            condition,
            *scope,
        )
        .limit(MOST_COUNTED)
    )
    return select(func.count()).select_from(some.subquery()).scalar_subquery()


def _counts(unrouted: Any, *scope: Any) -> Select[int, int, int, int]:
    # Follow-ups of incidents are left out: they may never go out.
    # SQLite uses a partial index only if its condition is repeated.
    waits = and_(
        IS_OPEN,
        IS_QUEUED,
        Delivery.mode.not_in((*SILENT, DeliveryMode.REMIND, DeliveryMode.ESCALATE)),
    )
    held = and_(IS_OPEN, IS_HELD)
    return select(
        _count(waits, *scope), _count(held, *scope), _count(IS_TROUBLED, *scope), unrouted
    )


def _count_unrouted() -> ScalarSelect[int]:
    some = (
        select(Notification.id)
        .where(
            Notification.team_id == bindparam("team_id"),
            IS_UNROUTED,
            Notification.id >= bindparam("unrouted_since"),
        )
        .limit(MOST_COUNTED)
    )
    return select(func.count()).select_from(some.subquery()).scalar_subquery()


def _recent() -> Select[Any]:
    latest = (
        select(Notification.id, Notification.content)
        .where(Notification.team_id == bindparam("team_id"))
        .order_by(Notification.id.desc())
        .limit(WINDOW)
        .subquery()
    )
    at = func.coalesce(Delivery.finished_at, Delivery.attempted_at, Delivery.send_at)
    return (
        select(
            latest.c.id,
            Lane.address.label("channel_id"),
            content_summary(latest.c.content).label("content"),
            Delivery.state,
            at.label("at"),
        )
        .select_from(latest)
        .join(Delivery, Delivery.notification_id == latest.c.id)
        .join(Lane, Lane.id == Delivery.lane_id)
        .where(
            Delivery.state.not_in(_UNSEEN),
            Delivery.mode.not_in((*SILENT, DeliveryMode.REMIND)),
            IS_PUBLISHED,
        )
        .order_by(Delivery.id.desc())
        .limit(bindparam("most", type_=Integer))
    )


def _of_public_channels(statement: Select[Any]) -> Select[Any]:
    known = and_(Channel.team_id == bindparam("team_id"), Channel.channel_id == Lane.address)
    return statement.join(Channel, known).where(IS_PUBLIC)


# Prepared once because they run for every App Home.
_IN_CHANNELS = is_any_of(Lane.address, "channels")
_COUNTS = PreparedSelect(_counts(_count_unrouted()))
_RECENT = PreparedSelect(_of_public_channels(_recent()))
_COUNTS_IN_CHANNELS = _counts(literal(0), _IN_CHANNELS)
_RECENT_IN_CHANNELS = _recent().where(_IN_CHANNELS)


def _health(counts: Sequence[int], recent: Sequence[Any]) -> Health:
    waiting, held, troubled, unrouted = counts
    return Health(waiting, held, troubled, unrouted, [_seen(row) for row in recent])


def _seen(row: Any) -> SeenDelivery:
    severity = severity_of(row.content)
    return SeenDelivery(row.id, row.channel_id, headline(row.content), severity, row.state, row.at)
