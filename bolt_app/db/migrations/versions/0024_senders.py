"""webhooks: their sender, its signing secret, and the bodies that no mapping understood

Webhooks made before give a key to a message only where `?key=` or their field names one: an empty
field leaves `callback_id` alone.

Revision: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_HOOKS = sa.table("hooks", sa.column("key_field"))


def upgrade() -> None:
    for column in (
        sa.Column("sender", sa.String(32), nullable=False, server_default="auto"),
        sa.Column("signing_secret", sa.Text(), nullable=True),
        sa.Column("unrecognized", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("unrecognized_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("hooks", column)
    op.execute(_HOOKS.update().where(_HOOKS.c.key_field.is_(None)).values(key_field=""))


def downgrade() -> None:
    op.execute(_HOOKS.update().where(_HOOKS.c.key_field == "").values(key_field=None))
    with op.batch_alter_table("hooks") as batch:
        for name in ("unrecognized_at", "unrecognized", "signing_secret", "sender"):
            batch.drop_column(name)
