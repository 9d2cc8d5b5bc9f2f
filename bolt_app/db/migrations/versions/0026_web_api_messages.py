"""messages of the Slack-compatible Web API: their provisional ts, and reactions to them

Revision: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

INDEX = "ix_deliveries_provisional"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("provisional_ts", sa.String(length=32), nullable=True))
    has_one = sa.text("provisional_ts IS NOT NULL")
    op.create_index(
        INDEX,
        "deliveries",
        ["team_id", "provisional_ts"],
        unique=True,
        sqlite_where=has_one,
        postgresql_where=has_one,
    )
    op.create_table(
        "reactions",
        sa.Column(
            "delivery_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name="fk_reactions_delivery_id_deliveries",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_reactions"),
    )


def downgrade() -> None:
    op.drop_table("reactions")
    op.drop_index(INDEX, "deliveries")
    op.drop_column("deliveries", "provisional_ts")
