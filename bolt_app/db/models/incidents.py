"""What asks for an answer, until it is resolved."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base, SlackId


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
