"""deleted messages that were replaced; channels whose id changed

Revision: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

INDEX = "ix_deliveries_replaced"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("replaced_ts", sa.String(length=32), nullable=True))
    is_replacement = sa.text("replaced_ts IS NOT NULL")
    op.create_index(
        INDEX,
        "deliveries",
        ["lane_id", "replaced_ts"],
        sqlite_where=is_replacement,
        postgresql_where=is_replacement,
    )
    op.create_table(
        "channel_moves",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("old_id", sa.String(length=64), nullable=False),
        sa.Column("new_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "old_id"),
    )


def downgrade() -> None:
    op.drop_table("channel_moves")
    op.drop_index(INDEX, "deliveries")
    op.drop_column("deliveries", "replaced_ts")
