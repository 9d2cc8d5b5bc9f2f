"""serving installations: the installation to which a workspace's credentials belong

Workspaces without a bot keep their API keys and webhooks for their next installation. For those of
an organization it is unknown whether the credentials were created for the workspace's own
installation or for the organization's: the next installation revokes them.

Revision: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Equal to no id of an organization.
_UNKNOWN = "unknown"
_OWN = """
INSERT INTO serving_installations (team_id, enterprise_id)
SELECT DISTINCT team_id, '' FROM bots WHERE team_id <> ''
"""
_OF_ORGANIZATIONS = """
INSERT INTO serving_installations (team_id, enterprise_id)
SELECT team_id, enterprise_id FROM teams
WHERE enterprise_id <> '' AND team_id NOT IN (SELECT team_id FROM serving_installations)
"""
# The revision outlives the installation.
_NOT_INSTALLED = """
INSERT INTO serving_installations (team_id, enterprise_id)
SELECT DISTINCT team_id, CASE WHEN team_id IN (
    SELECT team_id FROM installation_revisions WHERE enterprise_id = ''
) THEN '' ELSE '{unknown}' END
FROM (SELECT team_id FROM api_keys UNION SELECT team_id FROM webhooks) AS senders
WHERE team_id NOT IN (SELECT team_id FROM serving_installations)
"""


def upgrade() -> None:
    slack_id = sa.String(64)
    op.create_table(
        "serving_installations",
        sa.Column("team_id", slack_id, primary_key=True),
        sa.Column("enterprise_id", slack_id, nullable=False),
    )
    for statement in (_OWN, _OF_ORGANIZATIONS, _NOT_INSTALLED.format(unknown=_UNKNOWN)):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("serving_installations")
