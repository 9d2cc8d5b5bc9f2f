"""Web sessions and the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base, SlackId


class WebSession(Base):
    """A signed-in browser of a person. The cookie has the token, the row only its hash.

    The session is deleted with its installation: by an unlink, a revoked token or an uninstall. If
    the installation is kept or renewed instead, the session ends (`bolt_app.db.web_sessions`).
    """

    __tablename__ = "sessions"
    # Commands refer to sessions by id, so an id must never be reused.
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
    """A security event: its actor, the credential and the client's address.

    It contains no secrets, names or message texts.
    """

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(32))
    enterprise_id: Mapped[str | None] = mapped_column(SlackId)
    team_id: Mapped[str | None] = mapped_column(SlackId)
    user_id: Mapped[str | None] = mapped_column(SlackId)
    # For example `api_key:3`, `webhook:2` or `session:7`.
    credential: Mapped[str | None] = mapped_column(String(64))
    # An IP address or network.
    address: Mapped[str | None] = mapped_column(String(64))
    # Rejected credentials are counted in one row per hour and address.
    count: Mapped[int]
