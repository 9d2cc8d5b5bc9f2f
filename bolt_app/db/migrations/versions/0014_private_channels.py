"""private and archived channels: found by name, and shown to nobody who may not know of them

Revision: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_NEW = ("is_private", "is_archived")


def upgrade() -> None:
    for name in _NEW:
        # Until the channels are listed again, those that are stored are public and not archived.
        op.add_column(
            "channels",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()),
        )


def downgrade() -> None:
    op.execute("DELETE FROM channels WHERE is_private OR is_archived")
    for name in _NEW:
        op.drop_column("channels", name)
