"""digests: deliveries that are held and posted together

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_HELD = sa.text("state = 'held'")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("digest_id", sa.String(length=32), nullable=True))
    op.create_index(
        "ix_deliveries_held",
        "deliveries",
        ["lane_id", "send_at"],
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )
    op.add_column("subscriptions", sa.Column("digest", sa.String(length=16), nullable=True))
    op.add_column("subscriptions", sa.Column("digest_tz", sa.String(length=64), nullable=True))
    _rebuild_subscriptions(sqlite_autoincrement=True)


def downgrade() -> None:
    op.execute("UPDATE deliveries SET state = 'waiting' WHERE state = 'held'")
    op.execute("UPDATE deliveries SET state = 'cancelled' WHERE state = 'digested'")
    op.drop_index("ix_deliveries_held", "deliveries")
    op.drop_column("deliveries", "digest_id")
    _rebuild_subscriptions(sqlite_autoincrement=False)
    op.drop_column("subscriptions", "digest_tz")
    op.drop_column("subscriptions", "digest")


def _rebuild_subscriptions(*, sqlite_autoincrement: bool) -> None:
    """Prevent SQLite from reusing ids; PostgreSQL never does."""
    if op.get_bind().dialect.name == "sqlite":
        options = {"sqlite_autoincrement": sqlite_autoincrement}
        with op.batch_alter_table("subscriptions", recreate="always", table_kwargs=options):
            pass
