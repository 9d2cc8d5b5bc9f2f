"""subscriptions: ids of known channels and people instead of names

Of two subscriptions with the same resulting address the later changed one is kept. Unknown names
are resolved with the next listing of channels or lookup of the person.

Revision: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_SUBSCRIPTIONS = sa.table(
    "subscriptions",
    sa.column("id"),
    sa.column("team_id"),
    sa.column("topic"),
    sa.column("address"),
    sa.column("changed_at"),
)
_CHANNELS = sa.table(
    "channels",
    sa.column("team_id"),
    sa.column("channel_id"),
    sa.column("name"),
    sa.column("is_archived"),
    sa.column("is_private"),
)
_USERS = sa.table(
    "users", sa.column("id"), sa.column("user_id"), sa.column("email"), sa.column("is_deleted")
)
_MEMBERSHIPS = sa.table("memberships", sa.column("user_id"), sa.column("team_id"))


def upgrade() -> None:
    connection, table = op.get_bind(), _SUBSCRIPTIONS.c
    is_name = sa.or_(table.address.startswith("#"), table.address.startswith("@"))
    for row in connection.execute(sa.select(_SUBSCRIPTIONS).where(is_name)).all():
        known = _channel(row) if row.address.startswith("#") else _person(row)
        id_ = connection.scalar(known)
        if id_ is not None:
            _use_id(connection, row, id_)


def downgrade() -> None:
    """Earlier versions accept ids as addresses too."""


def _channel(row: sa.Row[tuple[object, ...]]) -> sa.Select[str]:
    columns = _CHANNELS.c
    return (
        sa.select(columns.channel_id)
        .where(columns.team_id == row.team_id, columns.name == row.address[1:])
        .order_by(columns.is_archived, columns.is_private, columns.channel_id)
        .limit(1)
    )


def _person(row: sa.Row[tuple[object, ...]]) -> sa.Select[str]:
    return (
        sa.select(_USERS.c.user_id)
        .join(_MEMBERSHIPS, _MEMBERSHIPS.c.user_id == _USERS.c.id)
        .where(
            _MEMBERSHIPS.c.team_id == row.team_id,
            sa.func.lower(_USERS.c.email) == row.address[1:],
            sa.not_(_USERS.c.is_deleted),
        )
        .limit(1)
    )


def _use_id(connection: sa.Connection, row: sa.Row[tuple[object, ...]], id_: str) -> None:
    table = _SUBSCRIPTIONS.c
    there = sa.and_(table.team_id == row.team_id, table.topic == row.topic, table.address == id_)
    changed_at = connection.scalar(sa.select(table.changed_at).where(there))
    mine = table.id == row.id
    if changed_at is not None and changed_at >= row.changed_at:
        connection.execute(sa.delete(_SUBSCRIPTIONS).where(mine))
        return
    connection.execute(sa.delete(_SUBSCRIPTIONS).where(there))
    connection.execute(sa.update(_SUBSCRIPTIONS).where(mine).values(address=id_))
