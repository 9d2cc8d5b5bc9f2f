"""files: how often bytes were sent to the upload URL

Revision: 0030
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Upload URLs of the version before start at 0.
    attempts = sa.Column("upload_attempts", sa.Integer(), server_default="0", nullable=False)
    op.add_column("files", attempts)


def downgrade() -> None:
    with op.batch_alter_table("files") as batch:
        batch.drop_column("upload_attempts")
