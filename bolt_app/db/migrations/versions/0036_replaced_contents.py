"""replaced contents: what an edit replaced before it was posted is cancelled, not digested

Such contents were shown to the recipients and in their data exports, although the sender had
withdrawn them. Messages of the Slack-compatible Web API alone have a provisional `ts`, and only a
digest digests their own delivery.

Revision: 0036
"""

from __future__ import annotations

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

_CANCEL = """
UPDATE deliveries SET state = 'cancelled', digest_id = NULL
WHERE state = 'digested' AND mode = 'new' AND provisional_ts IS NULL
AND key IN (SELECT key FROM deliveries WHERE provisional_ts IS NOT NULL)
"""


def upgrade() -> None:
    """Cancel them."""
    op.execute(_CANCEL)


def downgrade() -> None:
    """Leave them: earlier versions read the state too."""
