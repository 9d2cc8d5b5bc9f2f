"""deliveries: the credential that changes another one's message

Credentials with the same source delete and react to each other's messages. Such a change was
cancelled and counted as if the sender of the message had made it.

Notices about channels need no idempotency keys any more. Their keys named people, and an erasure
searches only the owners of keys.

Revision: 0040
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_keys = sa.table("idempotency_keys", sa.column("owner", sa.String))


def upgrade() -> None:
    """Add the column; of earlier changes the credential is not known. Delete keys of notices."""
    op.execute(sa.delete(_keys).where(_keys.c.owner.endswith("/lifecycle")))
    op.add_column("deliveries", sa.Column("changed_by", sa.String(64), nullable=True))


def downgrade() -> None:
    """Forget the credentials."""
    op.drop_column("deliveries", "changed_by")
