"""webhooks: their latest bodies, and a template that maps them

Revision: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# SQLite autoincrements only columns of the type INTEGER.
_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("template", sa.Text(), nullable=True))
    op.create_table(
        "webhook_bodies",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_webhook_bodies_webhook_id_webhooks"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_bodies")),
        sa.UniqueConstraint("webhook_id", "slot", name=op.f("uq_webhook_bodies_webhook_id_slot")),
    )


def downgrade() -> None:
    op.drop_table("webhook_bodies")
    with op.batch_alter_table("webhooks") as batch:
        batch.drop_column("template")
