"""Installations and tokens, used OAuth states, receipts and event times."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.encryption import EncryptedText
from bolt_app.db.models.base import Base, SlackId

# A workspace's id is unique in all of Slack, while its organization may change.
_IS_WORKSPACE = text("team_id <> ''")


class InstallationRevision(Base):
    """The number of changes of one workspace's (or organization's) installation.

    Every change increments `revision` in its transaction. The row is the lock that serializes
    concurrent installs, and tells each process whether its cached grants are current. It outlives
    the installation. A workspace's row names no organization, which may change.
    """

    __tablename__ = "installation_revisions"

    client_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    enterprise_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    revision: Mapped[int]


class ServingInstallation(Base):
    """The installation that serves a workspace, or served it last: its credentials belong to it.

    An empty `enterprise_id` means the workspace's own installation. The row outlives it.
    """

    __tablename__ = "serving_installations"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    enterprise_id: Mapped[str] = mapped_column(SlackId)


class BotInstallation(Base):
    """The bot of one workspace (or organization) and its token."""

    __tablename__ = "bots"
    __table_args__ = (
        UniqueConstraint("client_id", "enterprise_id", "team_id"),
        Index(
            "uq_bots_client_id_team_id",
            "client_id",
            "team_id",
            unique=True,
            sqlite_where=_IS_WORKSPACE,
            postgresql_where=_IS_WORKSPACE,
        ),
    )

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
    # Slack's error code for a rejected token; a reinstall clears it.
    invalid_reason: Mapped[str | None] = mapped_column(String(64))
    # While this is in the future, one process is exchanging the refresh token.
    refreshing_until: Mapped[datetime | None]
    # When the bot was last verified without a report.
    checked_at: Mapped[datetime | None]


class UserInstallation(Base):
    """One person's installation in one workspace (or organization) and their user token."""

    __tablename__ = "installations"
    __table_args__ = (
        UniqueConstraint("client_id", "enterprise_id", "team_id", "user_id"),
        Index(
            "uq_installations_client_id_team_id_user_id",
            "client_id",
            "team_id",
            "user_id",
            unique=True,
            sqlite_where=_IS_WORKSPACE,
            postgresql_where=_IS_WORKSPACE,
        ),
        # Web sessions refer to the row, so an id must never be reused.
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
    # When users.info was last stored in the profile; empty means that it is pending.
    profile_recorded_at: Mapped[datetime | None]
    invalid_reason: Mapped[str | None] = mapped_column(String(64))
    refreshing_until: Mapped[datetime | None]


class OAuthState(Base):
    """The hash of a `state` parameter that has been used, kept until the state would expire."""

    __tablename__ = "oauth_states"

    state_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class TokenRevocation(Base):
    """A token that is no longer used and must still be revoked at Slack."""

    __tablename__ = "token_revocations"
    # It is deleted by id, after an answer of Slack: an id must never be reused.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(EncryptedText)
    created_at: Mapped[datetime]


class EventReceipt(Base):
    """A receipt for an event, a submitted modal or another signed request that took effect.

    A repetition by Slack, an impatient person or an attacker finds this row and changes nothing.
    """

    __tablename__ = "event_receipts"

    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(index=True)


class InstallationCheck(Base):
    """A report about an installation, to be verified with Slack before it takes effect.

    Slack retries events for minutes, and Bellhop may be installed again by then. `kind` is a
    `bolt_app.installations.checks.CheckKind`; `user_id` is empty unless it concerns one
    person's token. `created_at` of a report about tokens is the time of Slack's event, or
    `bolt_app.installations.checks.NEVER` without a report.
    """

    __tablename__ = "installation_checks"
    # It is deleted by id, after an answer of Slack: an id must never be reused.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[str] = mapped_column(SlackId)
    team_id: Mapped[str] = mapped_column(SlackId)
    kind: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[str] = mapped_column(SlackId)
    created_at: Mapped[datetime]


class EventTime(Base):
    """The time of the latest event about one fact of a workspace (or organization).

    Earlier events are ignored.

    `subject` names the fact, such as a channel's name. Rows are kept as long as receipts.
    """

    __tablename__ = "event_times"

    team_id: Mapped[str] = mapped_column(SlackId, primary_key=True)
    subject: Mapped[str] = mapped_column(String(96), primary_key=True)
    happened_at: Mapped[datetime] = mapped_column(index=True)
