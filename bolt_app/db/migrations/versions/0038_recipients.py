"""deliveries: the person whom a direct delivery is for, by which alone people see it

Of a delivery to an e-mail address it was guessed from the state and Slack's code. Where it cannot
be known, no person sees the delivery.

Revision: 0038
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

# To a person's id or direct message; else in Slack, itself or in a digest. Reminders follow a
# message that is.
_PERSONS = """
UPDATE deliveries SET recipient_id = (SELECT address FROM lanes WHERE lanes.id = lane_id)
WHERE lane_id IN (SELECT id FROM lanes WHERE substr(address, 1, 1) IN ('U', 'W'))
AND target != '@deleted' AND (
    substr(target, 1, 1) != '@' OR state = 'sent' OR mode = 'remind'
    OR state = 'digested' AND EXISTS (
        SELECT 1 FROM deliveries AS digest
        JOIN notifications ON notifications.id = digest.notification_id
        WHERE digest.notification_id = deliveries.digest_id AND digest.lane_id = deliveries.lane_id
        AND digest.state = 'sent' AND notifications.source = 'digest'
    )
)
"""
# Never moved to a person's lane.
_NOBODYS = """
UPDATE deliveries SET recipient_id = 'nobody'
WHERE state = 'dead' AND substr(target, 1, 1) = '@' AND target != '@deleted'
AND lane_id IN (SELECT id FROM lanes WHERE substr(address, 1, 1) = '@')
"""


def upgrade() -> None:
    """Store the recipients that are known."""
    op.add_column("deliveries", sa.Column("recipient_id", sa.String(64), nullable=True))
    op.execute(_PERSONS)
    op.execute(_NOBODYS)


def downgrade() -> None:
    """Forget them."""
    op.drop_column("deliveries", "recipient_id")
