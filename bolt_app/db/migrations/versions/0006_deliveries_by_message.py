"""deliveries: find by message

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_POSTED = sa.text("ts IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_deliveries_message",
        "deliveries",
        ["channel_id", "ts"],
        sqlite_where=_POSTED,
        postgresql_where=_POSTED,
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_message", "deliveries")
