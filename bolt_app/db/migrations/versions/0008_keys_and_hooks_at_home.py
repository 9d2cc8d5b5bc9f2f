"""API keys and webhooks in the App Home: creators and revokers; opened homes

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("api_keys", "hooks")


def upgrade() -> None:
    slack_id = sa.String(length=64)
    for table in TABLES:
        op.add_column(table, sa.Column("created_by", slack_id, nullable=True))
        op.add_column(table, sa.Column("revoked_by", slack_id, nullable=True))
    op.create_table(
        "home_tabs",
        sa.Column("team_id", slack_id, nullable=False),
        sa.Column("user_id", slack_id, nullable=False),
        sa.Column("for_admin", sa.Boolean(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "user_id", name=op.f("pk_home_tabs")),
    )


def downgrade() -> None:
    op.drop_table("home_tabs")
    for table in TABLES:
        op.drop_column(table, "revoked_by")
        op.drop_column(table, "created_by")
