"""installation_checks and event_times: late events do not change newer data

Revision: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_SLACK_ID = sa.String(64)


def upgrade() -> None:
    op.create_table(
        "installation_checks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("enterprise_id", _SLACK_ID, nullable=False),
        sa.Column("team_id", _SLACK_ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", _SLACK_ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation_checks")),
    )
    # Also finds the workspaces of organizations with existing installations.
    op.execute(
        """
        INSERT INTO installation_checks (enterprise_id, team_id, kind, user_id, created_at)
        SELECT enterprise_id, team_id, 'organization', '', installed_at
        FROM bots WHERE is_enterprise_install
        """
    )
    op.create_table(
        "event_times",
        sa.Column("team_id", _SLACK_ID, nullable=False),
        sa.Column("subject", sa.String(length=96), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "subject", name=op.f("pk_event_times")),
    )
    op.create_index(op.f("ix_event_times_happened_at"), "event_times", ["happened_at"])


def downgrade() -> None:
    op.drop_table("event_times")
    op.drop_table("installation_checks")
