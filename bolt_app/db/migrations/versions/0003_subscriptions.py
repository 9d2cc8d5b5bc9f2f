"""subscriptions with filters

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_WITH_TOPICS = sa.text("topics IS NOT NULL")
_BY_SUBSCRIPTION = sa.text("subscription_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("notifications", sa.Column("topics", sa.Text(), nullable=True))
    op.create_index(
        "ix_notifications_topics",
        "notifications",
        ["team_id", "id"],
        sqlite_where=_WITH_TOPICS,
        postgresql_where=_WITH_TOPICS,
    )
    op.add_column("deliveries", sa.Column("subscription_id", sa.Integer(), nullable=True))
    op.create_index(
        "ix_deliveries_subscription",
        "deliveries",
        ["subscription_id", "id"],
        sqlite_where=_BY_SUBSCRIPTION,
        postgresql_where=_BY_SUBSCRIPTION,
    )
    moment = sa.DateTime(timezone=True)
    with op.batch_alter_table("subscriptions") as table:
        table.add_column(sa.Column("filter", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("mode", sa.String(length=8), nullable=True))
        table.add_column(sa.Column("muted_until", moment, nullable=True))
        table.add_column(sa.Column("paused", sa.String(length=16), nullable=True))
        table.add_column(sa.Column("created_by", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("changed_at", moment, nullable=True))
    op.execute("UPDATE subscriptions SET changed_at = created_at")
    with op.batch_alter_table("subscriptions") as table:
        table.alter_column("changed_at", existing_type=moment, nullable=False)
        table.alter_column(
            "filter", existing_type=sa.Text(), existing_nullable=False, server_default=None
        )
    op.create_index("ix_subscriptions_address", "subscriptions", ["team_id", "address"])


def downgrade() -> None:
    op.drop_index("ix_subscriptions_address", "subscriptions")
    with op.batch_alter_table("subscriptions") as table:
        for name in ("changed_at", "created_by", "paused", "muted_until", "mode", "filter"):
            table.drop_column(name)
    op.drop_index("ix_deliveries_subscription", "deliveries")
    op.drop_column("deliveries", "subscription_id")
    op.drop_index("ix_notifications_topics", "notifications")
    op.drop_column("notifications", "topics")
