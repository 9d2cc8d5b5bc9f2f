"""incidents: notifications that ask for a response

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    person = sa.String(length=64)
    op.create_table(
        "incidents",
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_by", person, nullable=True),
        sa.Column("state_at", moment, nullable=False),
        sa.Column("assigned_to", person, nullable=True),
        sa.Column("snoozed_until", moment, nullable=True),
        sa.Column("snoozed_by", person, nullable=True),
        sa.Column("muted_by", person, nullable=True),
        sa.Column("changed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "key", name=op.f("pk_incidents")),
    )


def downgrade() -> None:
    op.drop_table("incidents")
