"""deliveries: indexes of the pending deliveries of a key, and of the edits of a message

Without them, a notification or an edit visits every delivery that its key ever had.

Revision: 0035
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_deliveries_key_pending": (
        ["lane_id", "key", "urgency"],
        "state IN ('waiting', 'scheduled', 'held')",
    ),
    "ix_deliveries_key_changes": (
        ["lane_id", "key", "mode", "id"],
        "mode IN ('edit', 'delete')"
        " AND state IN ('waiting', 'scheduled', 'held', 'sending', 'sent', 'unknown')",
    ),
}


def upgrade() -> None:
    """Create the indexes."""
    for name, (columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "deliveries", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop the indexes."""
    for name in _INDEXES:
        op.drop_index(name, "deliveries")
