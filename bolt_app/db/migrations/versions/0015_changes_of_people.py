"""subscriptions of people: the latest applied change of the person

Revision: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # 0 is older than every change from Slack.
    op.add_column(
        "subscriptions",
        sa.Column("person_updated", sa.BigInteger(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_column("subscriptions", "person_updated")
