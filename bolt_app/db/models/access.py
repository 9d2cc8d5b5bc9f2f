"""Web sessions and the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base, SlackId


class WebSession(Base):
    """A person who is signed in with one browser. The cookie has the token; here is its hash.

    The session is deleted together with the installation it belongs to, whatever deletes that:
    an unlink, a revoked token, an uninstall.
    """

    __tablename__ = "sessions"
    # People name sessions by their ids, so the id of a deleted one must never come back.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    installation_id: Mapped[int] = mapped_column(
        ForeignKey("installations.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(index=True)
    last_seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class AuditEvent(Base):
    """A security event: its actor, their credential and the address they called from.

    It has no secret, no name and no text of anybody's.
    """

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(32))
    enterprise_id: Mapped[str | None] = mapped_column(SlackId)
    team_id: Mapped[str | None] = mapped_column(SlackId)
    user_id: Mapped[str | None] = mapped_column(SlackId)
    # As in `api_key:3`, `webhook:2` or `session:7`.
    credential: Mapped[str | None] = mapped_column(String(64))
    # An IP address, or a network of them.
    address: Mapped[str | None] = mapped_column(String(64))
    # Rejected credentials are counted in one row an hour for each address.
    count: Mapped[int]
