"""Incidents, and callbacks about the responses to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.encryption import EncryptedText
from bolt_app.db.models.base import Base, SlackId
from bolt_app.db.models.notifications import BigId


class Incident(Base):
    """An incident: the subject of notifications with one key, one of which asked for a response.

    `state` is `open`, `acknowledged` or `resolved`.
    """

    __tablename__ = "incidents"
    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    # The person who caused the state, and when; empty if a sender did.
    state_by: Mapped[str | None] = mapped_column(SlackId)
    state_at: Mapped[datetime]
    assigned_to: Mapped[str | None] = mapped_column(SlackId)
    snoozed_until: Mapped[datetime | None]
    snoozed_by: Mapped[str | None] = mapped_column(SlackId)
    muted_by: Mapped[str | None] = mapped_column(SlackId)
    changed_at: Mapped[datetime]


class CallbackEndpoint(Base):
    """The URL that receives the responses of people, for one API key."""

    __tablename__ = "callback_endpoints"

    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    url: Mapped[str] = mapped_column(EncryptedText)  # may contain a secret
    secret: Mapped[str] = mapped_column(EncryptedText)
    created_at: Mapped[datetime]
    # Until then only one process sends there.
    claimed_until: Mapped[datetime | None]


class Callback(Base):
    """A response that has not been sent to its callback endpoint yet."""

    __tablename__ = "callbacks"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    api_key_id: Mapped[int] = mapped_column(
        ForeignKey("callback_endpoints.api_key_id", ondelete="CASCADE"), index=True
    )
    # The same for each attempt, so that the receiver detects repetitions.
    message_id: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(index=True)
    error: Mapped[str | None] = mapped_column(Text)  # of the latest attempt
    created_at: Mapped[datetime]
