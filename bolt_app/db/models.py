"""What Bellhop stores. Ids of Slack's keep Slack's names: `team_id` is `T…`, `user_id` is `U…`.

An id that does not exist (`team_id` of an organisation-wide installation, `enterprise_id` outside
an organisation) is stored as an empty string, because neither database counts two NULLs as equal in
a unique constraint.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from bolt_app.db.encryption import EncryptedText
from bolt_app.db.types import UTCDateTime

SlackId = String(64)


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can name it too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON}  # noqa: RUF012


class InstallationRevision(Base):
    """How often the installation of one workspace (or organisation) has changed.

    Every change raises `revision` in its own transaction. The row is the lock which makes
    concurrent installs take turns, and the mark by which each process knows that what it remembers
    of the installation is old. It outlives the installation.
    """

    __tablename__ = "installation_revisions"

    client_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    enterprise_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    revision: Mapped[int]


class BotInstallation(Base):
    """The bot of one workspace (or organisation) and its token."""

    __tablename__ = "bots"
    __table_args__ = (UniqueConstraint("client_id", "enterprise_id", "team_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(SlackId)
    enterprise_id: Mapped[str] = mapped_column(SlackId)
    team_id: Mapped[str] = mapped_column(SlackId)
    app_id: Mapped[str | None] = mapped_column(SlackId)
    enterprise_name: Mapped[str | None] = mapped_column(Text)
    team_name: Mapped[str | None] = mapped_column(Text)
    bot_token: Mapped[str] = mapped_column(EncryptedText)
    bot_id: Mapped[str | None] = mapped_column(SlackId)
    bot_user_id: Mapped[str | None] = mapped_column(SlackId)
    bot_scopes: Mapped[str] = mapped_column(Text, default="")
    bot_refresh_token: Mapped[str | None] = mapped_column(EncryptedText)
    bot_token_expires_at: Mapped[datetime | None]
    is_enterprise_install: Mapped[bool]
    installed_at: Mapped[datetime]
    # Slack's error code since the token was found dead; a re-install clears it.
    invalid_reason: Mapped[str | None] = mapped_column(String(64))
    # While this is in the future, one process is exchanging the refresh token.
    refreshing_until: Mapped[datetime | None]


class UserInstallation(Base):
    """One person's installation in one workspace (or organisation) and their user token."""

    __tablename__ = "installations"
    __table_args__ = (
        UniqueConstraint("client_id", "enterprise_id", "team_id", "user_id"),
        # A web session names the row, so the id of a deleted one must never come back.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(SlackId)
    enterprise_id: Mapped[str] = mapped_column(SlackId)
    team_id: Mapped[str] = mapped_column(SlackId)
    user_id: Mapped[str] = mapped_column(SlackId)
    app_id: Mapped[str | None] = mapped_column(SlackId)
    enterprise_name: Mapped[str | None] = mapped_column(Text)
    enterprise_url: Mapped[str | None] = mapped_column(Text)
    team_name: Mapped[str | None] = mapped_column(Text)
    user_token: Mapped[str | None] = mapped_column(EncryptedText)
    user_scopes: Mapped[str] = mapped_column(Text, default="")
    user_refresh_token: Mapped[str | None] = mapped_column(EncryptedText)
    user_token_expires_at: Mapped[datetime | None]
    incoming_webhook_url: Mapped[str | None] = mapped_column(EncryptedText)
    incoming_webhook_channel: Mapped[str | None] = mapped_column(Text)
    incoming_webhook_channel_id: Mapped[str | None] = mapped_column(SlackId)
    incoming_webhook_configuration_url: Mapped[str | None] = mapped_column(Text)
    is_enterprise_install: Mapped[bool]
    token_type: Mapped[str | None] = mapped_column(String(32))
    installed_at: Mapped[datetime]
    # When users.info was last written to the profile; empty means that it is still owed.
    profile_recorded_at: Mapped[datetime | None]
    invalid_reason: Mapped[str | None] = mapped_column(String(64))
    refreshing_until: Mapped[datetime | None]


class OAuthState(Base):
    """A `state` parameter on its way through Slack, kept as a hash, good for one use."""

    __tablename__ = "oauth_states"

    state_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class User(Base):
    """A person as `users.info` describes them (https://docs.slack.dev/reference/methods/users.info).

    `home_id` is where Slack keeps the account: the organisation, else the workspace. Accounts that
    one human proved to hold share a `person_id`.
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
    # Picture addresses by pixel size, as in {"72": "https://…"}.
    images: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tz: Mapped[str | None] = mapped_column(String(64))
    tz_label: Mapped[str | None] = mapped_column(Text)
    tz_offset: Mapped[int | None]  # seconds east of UTC
    locale: Mapped[str | None] = mapped_column(String(32))
    is_bot: Mapped[bool] = mapped_column(default=False)
    is_deleted: Mapped[bool] = mapped_column(default=False)
    # Slack's own `updated` (Unix seconds): an older fact never overwrites a newer one.
    slack_updated: Mapped[int] = mapped_column(default=0)
    linked_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]

    memberships: Mapped[list[Membership]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )


class Team(Base):
    """A workspace (Slack calls it team in its API) in which somebody is linked."""

    __tablename__ = "teams"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    domain: Mapped[str | None] = mapped_column(Text)
    enterprise_id: Mapped[str] = mapped_column(SlackId, default="")
    enterprise_name: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Membership(Base):
    """A user's membership of a team, with what Slack says of their role there."""

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

    user: Mapped[User] = relationship(back_populates="memberships")
    team: Mapped[Team] = relationship()


class Channel(Base):
    """A public channel as `conversations.list` last described it."""

    __tablename__ = "channels"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    channel_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    is_member: Mapped[bool]
    member_count: Mapped[int]


class ChannelListing(Base):
    """When the channels of a team were last listed."""

    __tablename__ = "channel_listings"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    listed_at: Mapped[datetime]


class TokenRevocation(Base):
    """A token that nobody may use any more and that Slack has yet to be told of."""

    __tablename__ = "token_revocations"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(EncryptedText)
    created_at: Mapped[datetime]


class EventReceipt(Base):
    """An event that took effect: Slack's retries of it find this row and change nothing."""

    __tablename__ = "event_receipts"

    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(index=True)
