"""deletion: lanes of deleted people, and notifications sent by people

Revision: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

BY_PERSON = sa.text("source LIKE 'slack:%'")


def upgrade() -> None:
    op.add_column(
        "lanes", sa.Column("is_erasable", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index(
        "ix_notifications_by_person",
        "notifications",
        ["team_id", "source"],
        sqlite_where=BY_PERSON,
        postgresql_where=BY_PERSON,
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_by_person", "notifications")
    op.drop_column("lanes", "is_erasable")
