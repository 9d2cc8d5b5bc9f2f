"""notifications without a matching subscription; the key field of webhooks

Revision: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEX = "ix_notifications_unrouted"


def upgrade() -> None:
    # Unknown for earlier notifications, whose deliveries may be deleted.
    op.add_column(
        "notifications",
        sa.Column("is_unrouted", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    is_unrouted = sa.text("is_unrouted")
    op.create_index(
        INDEX,
        "notifications",
        ["team_id", "id"],
        sqlite_where=is_unrouted,
        postgresql_where=is_unrouted,
    )
    op.add_column("hooks", sa.Column("key_field", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("hooks", "key_field")
    op.drop_index(INDEX, "notifications")
    op.drop_column("notifications", "is_unrouted")
