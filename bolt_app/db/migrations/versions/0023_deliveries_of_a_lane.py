"""deliveries: an index of the deliveries of one lane

Without it, the deletion of a lane scans all deliveries for rows that refer to it.

Revision: 0023
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_deliveries_lane", "deliveries", ["lane_id"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_deliveries_lane", "deliveries")
