"""What asks for an answer, until it is resolved, and who is told of the answers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.encryption import EncryptedText
from bolt_app.db.models.base import Base, SlackId
from bolt_app.db.models.notifications import BigId


class Incident(Base):
    """What notifications with one key are about, where one of them asked for an answer.

    `state` is `open`, `acknowledged` or `resolved`.
    """

    __tablename__ = "incidents"
    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    # Who brought it into this state, and when; nobody where a sender did.
    state_by: Mapped[str | None] = mapped_column(SlackId)
    state_at: Mapped[datetime]
    assigned_to: Mapped[str | None] = mapped_column(SlackId)
    snoozed_until: Mapped[datetime | None]
    snoozed_by: Mapped[str | None] = mapped_column(SlackId)
    muted_by: Mapped[str | None] = mapped_column(SlackId)
    changed_at: Mapped[datetime]


class CallbackEndpoint(Base):
    """Where the system that has an API key wants to be told what people answered."""

    __tablename__ = "callback_endpoints"

    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    url: Mapped[str] = mapped_column(EncryptedText)  # it may hold a secret of its own
    secret: Mapped[str] = mapped_column(EncryptedText)
    created_at: Mapped[datetime]
    # Until then one process alone sends there.
    claimed_until: Mapped[datetime | None]


class Callback(Base):
    """An answer that a system is still to be told of."""

    __tablename__ = "callbacks"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    api_key_id: Mapped[int] = mapped_column(
        ForeignKey("callback_endpoints.api_key_id", ondelete="CASCADE"), index=True
    )
    # The same with each attempt, so that its receiver knows it again.
    message_id: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(index=True)
    error: Mapped[str | None] = mapped_column(Text)  # of the latest attempt
    created_at: Mapped[datetime]
