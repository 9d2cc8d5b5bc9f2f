"""subscribed follow-ups: refreshes and reminders have the subscription of their message

Those that were stored before had none, and so showed the subscriber's address to API keys.

Revision: 0034
"""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_SUBSCRIBE = """
UPDATE deliveries SET subscription_id = (
    SELECT max(message.subscription_id) FROM deliveries AS message
    WHERE message.notification_id = deliveries.notification_id
    AND message.lane_id = deliveries.lane_id
    AND message.mode NOT IN ('refresh', 'remind')
)
WHERE subscription_id IS NULL AND mode IN ('refresh', 'remind')
"""


def upgrade() -> None:
    op.execute(_SUBSCRIBE)


def downgrade() -> None:
    """Leave them: earlier versions read the column too."""
