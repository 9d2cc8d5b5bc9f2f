"""Users, teams and memberships."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base, SlackId


class User(Base):
    """A person as described by `users.info` (https://docs.slack.dev/reference/methods/users.info).

    `home_id` is the home of the account: its organization, else its workspace. Accounts that a
    person joined share a `person_id`.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("home_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    home_id: Mapped[str] = mapped_column(SlackId)
    user_id: Mapped[str] = mapped_column(SlackId)
    person_id: Mapped[str] = mapped_column(String(36), index=True)
    name: Mapped[str | None] = mapped_column(Text)
    real_name: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text, index=True)
    title: Mapped[str | None] = mapped_column(Text)
    # Image URLs by pixel size, such as {"72": "https://…"}.
    images: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tz: Mapped[str | None] = mapped_column(String(64))
    tz_label: Mapped[str | None] = mapped_column(Text)
    tz_offset: Mapped[int | None]  # seconds east of UTC
    locale: Mapped[str | None] = mapped_column(String(32))
    is_bot: Mapped[bool] = mapped_column(default=False)
    is_deleted: Mapped[bool] = mapped_column(default=False)
    # Slack's `updated` (Unix seconds): older data never overwrites newer data.
    slack_updated: Mapped[int] = mapped_column(default=0)
    linked_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]


class Team(Base):
    """A workspace (Slack calls it team in its API) that uses Bellhop."""

    __tablename__ = "teams"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    domain: Mapped[str | None] = mapped_column(Text)
    enterprise_id: Mapped[str] = mapped_column(SlackId, default="")
    enterprise_name: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Membership(Base):
    """A user's membership in a team, with their role there."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("user_id", "team_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    team_id: Mapped[str] = mapped_column(
        ForeignKey("teams.team_id", ondelete="CASCADE"), index=True
    )
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_owner: Mapped[bool] = mapped_column(default=False)
    is_guest: Mapped[bool] = mapped_column(default=False)
    linked_at: Mapped[datetime]


class HomeTab(Base):
    """An App Home that a person has opened, and that Bellhop keeps up to date."""

    __tablename__ = "home_tabs"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    user_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    for_admin: Mapped[bool]  # whether it shows what only admins see
    published_at: Mapped[datetime]


class Preference(Base):
    """A person's delivery preferences; without a row everything is delivered immediately."""

    __tablename__ = "preferences"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    user_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    quiet_from: Mapped[time | None]
    quiet_until: Mapped[time | None]
    # Direct notifications: `now`, `hourly`, `daily HH:MM` or `off`.
    direct: Mapped[str] = mapped_column(String(16))
    # Their time zone at that time; a linked profile takes precedence.
    tz: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime]
