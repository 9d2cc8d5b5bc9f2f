"""workspace queues: one owner per workspace, with a change feed

Waiting, held and started deliveries continue. A worker of an earlier version fails on its next
statement; the next owner looks in Slack for its messages.

Revision: 0019
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SHARDS = 64
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_MOMENT = sa.DateTime(timezone=True)
_WAITING = sa.text("state = 'waiting'")
_HELD = sa.text("state = 'held'")
_LATER = sa.text("state IN ('scheduled', 'held')")
_OPEN = sa.text("state IN ('waiting', 'scheduled', 'held', 'sending')")
_SENDING = sa.text("state = 'sending'")
_SECOND_LOOK = sa.text("second_look_at IS NOT NULL")
_WAKE_AT = sa.text("wake_at IS NOT NULL")
_NEW_INDEXES = (
    ("ix_deliveries_urgent", ["team_id", "urgency", "id"], _WAITING),
    ("ix_deliveries_waiting", ["lane_id", "source", "urgency", "id"], _WAITING),
    ("ix_deliveries_due", ["send_at"], _LATER),
    ("ix_deliveries_later", ["lane_id", "send_at"], _LATER),
    ("ix_deliveries_changed", ["team_id", "seq"], _OPEN),
    ("ix_deliveries_sending", ["team_id", "id"], _SENDING),
    ("ix_deliveries_second_look", ["team_id", "second_look_at"], _SECOND_LOOK),
)
_OLD_INDEXES = (
    ("ix_deliveries_waiting", ["lane_id", "rank", "id"], _WAITING),
    ("ix_deliveries_due", ["lane_id", "send_at"], _WAITING),
    ("ix_deliveries_held", ["lane_id", "send_at"], _HELD),
)

_NEW_COLUMNS = (
    "second_look_at",
    "retry_at",
    "attempt_number",
    "urgency",
    "source",
    "seq",
    "team_id",
)

_deliveries = sa.table(
    "deliveries",
    sa.column("id", sa.BigInteger),
    sa.column("lane_id", sa.Integer),
    sa.column("team_id", sa.String),
    sa.column("state", sa.String),
    sa.column("send_at", _MOMENT),
    sa.column("notification_id", sa.String),
    sa.column("key", sa.Text),
    sa.column("source", sa.String),
    sa.column("rank", sa.Integer),
    sa.column("urgency", sa.BigInteger),
    sa.column("attempts", sa.Integer),
    sa.column("attempt_number", sa.Integer),
    sa.column("retry_at", _MOMENT),
)
_lanes = sa.table(
    "lanes",
    sa.column("id", sa.Integer),
    sa.column("team_id", sa.String),
    sa.column("wake_at", _MOMENT),
    sa.column("free_at", _MOMENT),
    sa.column("paced_until", _MOMENT),
    sa.column("failing_since", _MOMENT),
    sa.column("sending_id", sa.BigInteger),
)
_notifications = sa.table(
    "notifications", sa.column("id", sa.String), sa.column("source", sa.String)
)
_paces = sa.table(
    "team_paces",
    sa.column("team_id", sa.String),
    sa.column("free_at", _MOMENT),
    sa.column("paced_until", _MOMENT),
    sa.column("served_at", _MOMENT),
    sa.column("reason", sa.String),
)
_queues = sa.table(
    "workspace_queues",
    sa.column("team_id", sa.String),
    sa.column("shard", sa.Integer),
    sa.column("seq", sa.BigInteger),
    sa.column("paused_until", _MOMENT),
    sa.column("pause_reason", sa.String),
)


def upgrade() -> None:
    _create_queues()
    op.drop_table("team_paces")
    op.drop_table("workers")
    _upgrade_deliveries()
    op.add_column("lanes", sa.Column("attempted_at", _MOMENT, nullable=True))
    op.drop_index("ix_lanes_wake_at", "lanes")
    op.drop_index("ix_lanes_worker_id", "lanes")
    for name in ("wake_at", "free_at", "paced_until", "sending_id", "worker_id"):
        op.drop_column("lanes", name)


def downgrade() -> None:
    _downgrade_lanes()
    _downgrade_deliveries()
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "team_paces",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("free_at", _MOMENT, nullable=False),
        sa.Column("paced_until", _MOMENT, nullable=False),
        sa.Column("served_at", _MOMENT, nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_team_paces")),
    )
    ago = sa.literal(_LONG_AGO, _MOMENT)
    until = sa.func.coalesce(_queues.c.paused_until, ago)
    paces = sa.select(_queues.c.team_id, until, ago, ago, _queues.c.pause_reason)
    op.execute(sa.insert(_paces).from_select([one.name for one in _paces.c], paces))
    op.drop_table("workspace_queues")


def _create_queues() -> None:
    op.create_table(
        "workspace_queues",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", _MOMENT, nullable=True),
        sa.Column("paused_until", _MOMENT, nullable=True),
        sa.Column("pause_reason", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_workspace_queues")),
    )
    connection = op.get_bind()
    now = datetime.now(UTC)
    paused = {
        row.team_id: (row.free_at, row.reason)
        for row in connection.execute(sa.select(_paces))
        if row.reason is not None or _aware(row.free_at) > now
    }
    teams = sa.select(_lanes.c.team_id).union(sa.select(_paces.c.team_id))
    rows = []
    for team_id in connection.scalars(teams).all():
        until, reason = paused.get(team_id, (None, None))
        shard = crc32(team_id.encode()) % SHARDS
        row = {"team_id": team_id, "shard": shard, "seq": 1}
        rows.append(row | {"paused_until": until, "pause_reason": reason})
    if rows:
        connection.execute(sa.insert(_queues), rows)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _upgrade_deliveries() -> None:
    for column in (
        sa.Column("team_id", sa.String(length=64), server_default="", nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("source", sa.String(length=64), server_default="", nullable=False),
        sa.Column("urgency", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempt_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", _MOMENT, nullable=True),
        sa.Column("second_look_at", _MOMENT, nullable=True),
    ):
        op.add_column("deliveries", column)
    team_id = (
        sa.select(_lanes.c.team_id).where(_lanes.c.id == _deliveries.c.lane_id).scalar_subquery()
    )
    op.execute(
        sa.update(_deliveries).values(team_id=team_id, attempt_number=_deliveries.c.attempts)
    )
    is_open = _deliveries.c.state.in_(("waiting", "held", "sending"))
    op.execute(sa.update(_deliveries).where(is_open).values(source=_source(), urgency=_urgency()))
    later = sa.and_(_deliveries.c.state == "waiting", _deliveries.c.send_at > datetime.now(UTC))
    op.execute(sa.update(_deliveries).where(later).values(state="scheduled"))
    for name, _, _ in _OLD_INDEXES:
        op.drop_index(name, "deliveries")
    _create_indexes(_NEW_INDEXES)


def _source() -> Any:
    """Return the source of a delivery's key, else of its sender."""
    key = _deliveries.c.key
    bar = sa.func.strpos if op.get_bind().dialect.name == "postgresql" else sa.func.instr
    sender = (
        sa.select(_notifications.c.source)
        .where(_notifications.c.id == _deliveries.c.notification_id)
        .scalar_subquery()
    )
    return sa.case(
        (bar(key, "|") > 1, sa.func.substr(key, 1, bar(key, "|") - 1)),
        (sender.startswith("slack:"), "slack"),
        else_=sender,
    )


def _urgency() -> Any:
    """Return the due time of a delivery in milliseconds, a minute earlier per step of its rank.

    A rank of -5 or less makes it a day earlier.
    """
    due, rank = _deliveries.c.send_at, _deliveries.c.rank
    if op.get_bind().dialect.name == "postgresql":
        at = sa.extract("epoch", due) * 1000
    else:
        at = (sa.func.julianday(due) - 2440587.5) * 86_400_000
    lead = sa.case((rank <= -5, 86_400_000), else_=0)
    return sa.cast(at + 60_000 * rank - lead, sa.BigInteger)


def _create_indexes(indexes: tuple[tuple[str, list[str], sa.TextClause], ...]) -> None:
    for name, columns, where in indexes:
        op.create_index(name, "deliveries", columns, sqlite_where=where, postgresql_where=where)


def _downgrade_deliveries() -> None:
    for name, _, _ in _NEW_INDEXES:
        op.drop_index(name, "deliveries")
    op.execute("UPDATE deliveries SET state = 'waiting' WHERE state = 'scheduled'")
    _create_indexes(_OLD_INDEXES)
    for name in _NEW_COLUMNS:
        op.drop_column("deliveries", name)


def _downgrade_lanes() -> None:
    ago = sa.text(f"'{_LONG_AGO:%Y-%m-%d %H:%M:%S}'")
    for column in (
        sa.Column("wake_at", _MOMENT, nullable=True),
        sa.Column("free_at", _MOMENT, server_default=ago, nullable=False),
        sa.Column("paced_until", _MOMENT, server_default=ago, nullable=False),
        sa.Column(
            "sending_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("worker_id", sa.String(length=32), nullable=True),
    ):
        op.add_column("lanes", column)
    mine = _deliveries.c.lane_id == _lanes.c.id
    sending = sa.select(sa.func.min(_deliveries.c.id)).where(mine, _deliveries.c.state == "sending")
    first = sa.select(sa.func.min(_deliveries.c.send_at)).where(
        mine, _deliveries.c.state.in_(("waiting", "scheduled", "held", "sending"))
    )
    op.execute(
        sa.update(_lanes).values(
            wake_at=first.scalar_subquery(),
            sending_id=sending.scalar_subquery(),
        )
    )
    op.create_index(
        "ix_lanes_wake_at", "lanes", ["wake_at"], sqlite_where=_WAKE_AT, postgresql_where=_WAKE_AT
    )
    op.create_index("ix_lanes_worker_id", "lanes", ["worker_id"])
    op.drop_column("lanes", "attempted_at")
