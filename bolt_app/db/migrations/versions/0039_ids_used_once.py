"""lanes, reports and tokens: SQLite never gives a new row the id of a deleted one

A process that asked Slack about a row would otherwise change or delete another row afterwards.
PostgreSQL never reuses an id.

Revision: 0039
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

_TABLES = ("installation_checks", "lanes", "token_revocations")


def upgrade() -> None:
    """Rebuild the tables on SQLite, with their rows."""
    _rebuild(sqlite_autoincrement=True)


def downgrade() -> None:
    """Rebuild them as before."""
    _rebuild(sqlite_autoincrement=False)


def _rebuild(*, sqlite_autoincrement: bool) -> None:
    """Rebuild them under their own names: SQLite counts deliveries without a lane until the commit.

    Alembic's batch mode fills the new table under another name, after which the count stays.
    """
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("PRAGMA defer_foreign_keys = ON")
    for name in _TABLES:
        table = sa.Table(
            name,
            sa.MetaData(),
            autoload_with=op.get_bind(),
            sqlite_autoincrement=sqlite_autoincrement,
        )
        op.execute(f"CREATE TABLE kept_rows AS SELECT * FROM {name}")  # noqa: S608
        table.drop(op.get_bind())
        table.create(op.get_bind())
        op.execute(f"INSERT INTO {name} SELECT * FROM kept_rows")  # noqa: S608
        op.drop_table("kept_rows")
