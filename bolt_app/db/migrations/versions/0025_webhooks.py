"""webhooks: the table has the name of its rows; deliveries: an index of failures by workspace

Revision: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


INDEX = "ix_deliveries_failed"


def upgrade() -> None:
    _rename("hooks", "webhooks")
    has_failed = sa.text("state IN ('dead', 'unknown')")
    op.create_index(
        INDEX,
        "deliveries",
        ["team_id", "finished_at"],
        sqlite_where=has_failed,
        postgresql_where=has_failed,
    )


def downgrade() -> None:
    op.drop_index(INDEX, "deliveries")
    _rename("webhooks", "hooks")


def _rename(old: str, new: str) -> None:
    op.rename_table(old, new)
    with op.batch_alter_table(new) as batch:
        batch.drop_index(f"ix_{old}_team_id")
        batch.drop_constraint(f"uq_{old}_secret_hash", type_="unique")
        batch.drop_constraint(f"pk_{old}", type_="primary")
        batch.create_primary_key(f"pk_{new}", ["id"])
        batch.create_unique_constraint(f"uq_{new}_secret_hash", ["secret_hash"])
        batch.create_index(f"ix_{new}_team_id", ["team_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text(f"ALTER SEQUENCE {old}_id_seq RENAME TO {new}_id_seq"))
