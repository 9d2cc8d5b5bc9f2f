"""sessions: web sessions and audit events; accounts are joined only by people

Revision: 0011
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("installation_id", sa.Integer(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("last_seen_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["installations.id"],
            name=op.f("fk_sessions_installation_id_installations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_sessions_installation_id"), "sessions", ["installation_id"])
    op.create_index(op.f("ix_sessions_created_at"), "sessions", ["created_at"])
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("enterprise_id", sa.String(length=64), nullable=True),
        sa.Column("team_id", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("credential", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index(op.f("ix_audit_events_at"), "audit_events", ["at"])
    _part_accounts()


def _part_accounts() -> None:
    """Separate accounts that were joined without consent, because one browser had used both."""
    users = sa.table("users", sa.column("id", sa.Integer), sa.column("person_id", sa.String))
    connection, seen = op.get_bind(), set()
    shared = sa.select(users.c.person_id).group_by(users.c.person_id).having(sa.func.count() > 1)
    joined = sa.select(users.c.id, users.c.person_id).where(users.c.person_id.in_(shared))
    for row_id, person_id in connection.execute(joined.order_by(users.c.id)).all():
        if person_id in seen:
            own = sa.update(users).where(users.c.id == row_id).values(person_id=str(uuid.uuid4()))
            connection.execute(own)
        seen.add(person_id)


def downgrade() -> None:
    op.drop_table("audit_events")
    op.drop_table("sessions")
