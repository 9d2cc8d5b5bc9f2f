"""bots.checked_at: bots are verified with Slack once a day, because a report may be lost

Existing bots without the time are verified soon, and so are the lists of organizations, which may
differ from the serving installations that 0031 recorded.

Revision: 0033
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bots", sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("bots", "checked_at")
