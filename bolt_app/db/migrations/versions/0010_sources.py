"""sources and limits of API keys and webhooks; notification keys per source

Revision: 0010
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = ("api_keys", "hooks")
COUNTERS = (
    "counted_minute",
    "minute_requests",
    "minute_deliveries",
    "counted_hour",
    "hour_destinations",
    "open_at_most",
    "rejected",
)
OTHERS: tuple[tuple[str, Any], ...] = (
    ("source", sa.String(length=64)),
    ("rejected_at", sa.DateTime(timezone=True)),
    ("rejected_reason", sa.String(length=32)),
)

_notifications = sa.table(
    "notifications",
    sa.column("id", sa.String),
    sa.column("team_id", sa.String),
    sa.column("source", sa.String),
    sa.column("key", sa.String),
    sa.column("content", sa.JSON),
)
_deliveries = sa.table(
    "deliveries", sa.column("notification_id", sa.String), sa.column("key", sa.String)
)
_incidents = sa.table(
    "incidents",
    sa.column("team_id", sa.String),
    sa.column("key", sa.String),
    sa.column("changed_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    for table in TABLES:
        for name in COUNTERS:
            kind = sa.BigInteger() if name == "rejected" else sa.Integer()
            op.add_column(table, sa.Column(name, kind, server_default="0", nullable=False))
        for name, other in OTHERS:
            op.add_column(table, sa.Column(name, other, nullable=True))
        op.add_column(
            table,
            sa.Column("allow_broadcast", sa.Boolean(), server_default=sa.false(), nullable=False),
        )
    # Incidents first, because they are found by the former keys.
    _give_incidents_their_source()
    # Without a sender's key the notification's id is used, which is unique.
    source = (
        sa.select(_notifications.c.source)
        .where(_notifications.c.id == _deliveries.c.notification_id)
        .scalar_subquery()
    )
    op.execute(
        sa.update(_deliveries)
        .where(_deliveries.c.key.is_not(None), _deliveries.c.key != _deliveries.c.notification_id)
        .values(key=source + "|" + _deliveries.c.key)
    )
    op.execute(
        sa.update(_notifications)
        .where(_notifications.c.key.is_not(None), _notifications.c.key != _notifications.c.id)
        .values(key=_notifications.c.source + "|" + _notifications.c.key)
    )


def downgrade() -> None:
    for rows in (_deliveries, _notifications):
        op.execute(sa.update(rows).where(rows.c.key.contains("|")).values(key=_plain(rows.c.key)))
    _take_incidents_their_source()
    for table in TABLES:
        for name in (*COUNTERS, *(name for name, _ in OTHERS), "allow_broadcast"):
            op.drop_column(table, name)


def _give_incidents_their_source() -> None:
    """Assign each incident to the source of its first notification that asked for a response."""
    connection = op.get_bind()
    asks = _notifications.c.content["actions"].as_string().is_not(None)
    first = sa.func.coalesce(
        sa.func.min(sa.case((asks, _notifications.c.id))), sa.func.min(_notifications.c.id)
    )
    openers = (
        sa.select(_incidents.c.team_id, _incidents.c.key, first.label("id"))
        .join(
            _notifications,
            sa.and_(
                _notifications.c.team_id == _incidents.c.team_id,
                _notifications.c.key == _incidents.c.key,
            ),
        )
        .group_by(_incidents.c.team_id, _incidents.c.key)
    )
    for team_id, key, id_ in connection.execute(openers).all():
        if id_ == key:
            continue
        source = connection.scalar(
            sa.select(_notifications.c.source).where(_notifications.c.id == id_)
        )
        _rename_incident(team_id, key, f"{source}|{key}")


def _take_incidents_their_source() -> None:
    """Of several incidents with the same former key keep the latest changed."""
    connection = op.get_bind()
    stored = connection.execute(
        sa.select(_incidents.c.team_id, _incidents.c.key).order_by(_incidents.c.changed_at.desc())
    ).all()
    kept = {(team_id, key) for team_id, key in stored if "|" not in key}
    for team_id, key in stored:
        plain = key.partition("|")[2]
        if "|" not in key:
            continue
        if (team_id, plain) in kept:
            connection.execute(
                sa.delete(_incidents).where(
                    _incidents.c.team_id == team_id, _incidents.c.key == key
                )
            )
            continue
        kept.add((team_id, plain))
        _rename_incident(team_id, key, plain)


def _rename_incident(team_id: str, key: str, new: str) -> None:
    op.get_bind().execute(
        sa.update(_incidents)
        .where(_incidents.c.team_id == team_id, _incidents.c.key == key)
        .values(key=new)
    )


def _plain(key: Any) -> Any:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    place = (sa.func.instr if is_sqlite else sa.func.strpos)(key, "|")
    return sa.func.substr(key, place + 1)
