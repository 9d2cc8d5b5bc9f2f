"""private and archived channels: resolved by name, shown only to members

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
        # Until the next listing, the stored channels are public and not archived.
        op.add_column(
            "channels",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()),
        )


def downgrade() -> None:
    op.execute("DELETE FROM channels WHERE is_private OR is_archived")
    for name in _NEW:
        op.drop_column("channels", name)
