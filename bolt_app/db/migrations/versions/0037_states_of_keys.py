"""deliveries: the index of keys contains the state

Deliveries of a key that ended without a message, such as expired ones, have no limit of Slack.
Without the state in the index, each attempt about the key visits all of them.

Revision: 0037
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_NAME = "ix_deliveries_key"


def upgrade() -> None:
    """Add the state to the index."""
    _create("lane_id", "key", "state", "id")


def downgrade() -> None:
    """Remove the state from the index."""
    _create("lane_id", "key", "id")


def _create(*columns: str) -> None:
    has_key = sa.text("key IS NOT NULL")
    op.drop_index(_NAME, "deliveries")
    op.create_index(_NAME, "deliveries", columns, sqlite_where=has_key, postgresql_where=has_key)
