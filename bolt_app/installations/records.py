"""Stored installations as values: a person's installation, a grant, the status of a request."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from slack_sdk.oauth.installation_store import Bot, Installation

from bolt_app.db.models import BotInstallation, UserInstallation


@dataclass(frozen=True)
class StoredInstallation:
    """One person's installation, with the bot of the same workspace (or organization)."""

    id: int
    app_id: str | None
    enterprise_id: str | None
    enterprise_name: str | None
    team_id: str | None
    team_name: str | None
    user_id: str
    is_enterprise_install: bool
    user_token: str | None = field(repr=False)
    user_scopes: tuple[str, ...]
    user_invalid_reason: str | None
    bot_token: str | None = field(repr=False)
    bot_user_id: str | None
    bot_scopes: tuple[str, ...]
    bot_invalid_reason: str | None
    installed_at: datetime
    profile_recorded_at: datetime | None


@dataclass(frozen=True)
class BotIdentity:
    """The bot of a workspace, as Slack names it, and the workspace.

    Attributes:
        domain: of the workspace, if it is known.
        enterprise_id: of its organization, if it has one.
    """

    bot_id: str | None
    user_id: str | None
    app_id: str | None
    team_name: str | None
    domain: str | None
    enterprise_id: str | None


@dataclass(frozen=True)
class Grant:
    """The tokens for one person's request: the bot's, and the person's if granted.

    Attributes:
        enterprise_id: the organization that the bot is recorded with.
    """

    revision: int
    enterprise_id: str | None = None
    bot_token: str | None = field(default=None, repr=False)
    bot_id: str | None = None
    bot_user_id: str | None = None
    bot_scopes: tuple[str, ...] = ()
    bot_token_expires_at: datetime | None = None
    bot_invalid_reason: str | None = None
    installation_id: int | None = None
    user_token: str | None = field(default=None, repr=False)
    user_scopes: tuple[str, ...] = ()
    user_token_expires_at: datetime | None = None
    user_invalid_reason: str | None = None


@dataclass(frozen=True)
class InstallationStatus:
    """The state of an installation and a person at the time of a request.

    Attributes:
        revision: the number of changes of the installation; 0 if there never was one.
        is_deactivated: whether the person's linked account is deactivated; None if not linked.
    """

    revision: int
    is_deactivated: bool | None


def to_bot(row: BotInstallation) -> Bot:
    """Return a stored bot as slack_sdk's `Bot`."""
    return Bot(
        app_id=row.app_id,
        enterprise_id=row.enterprise_id or None,
        enterprise_name=row.enterprise_name,
        team_id=row.team_id or None,
        team_name=row.team_name,
        bot_token=row.bot_token,
        bot_id=row.bot_id,  # type: ignore[arg-type]  # unknown until auth.test has answered
        bot_user_id=row.bot_user_id,  # type: ignore[arg-type]
        bot_scopes=row.bot_scopes,
        bot_refresh_token=row.bot_refresh_token,
        bot_token_expires_at=row.bot_token_expires_at,
        is_enterprise_install=row.is_enterprise_install,
        installed_at=row.installed_at,
    )


def to_installation(person: UserInstallation, bot: BotInstallation | None) -> Installation:
    """Return a stored installation as slack_sdk's `Installation`, with the workspace's bot."""
    installation = Installation(
        app_id=person.app_id,
        enterprise_id=person.enterprise_id or None,
        enterprise_name=person.enterprise_name,
        enterprise_url=person.enterprise_url,
        team_id=person.team_id or None,
        team_name=person.team_name,
        user_id=person.user_id,
        user_token=person.user_token,
        user_scopes=person.user_scopes,
        user_refresh_token=person.user_refresh_token,
        user_token_expires_at=person.user_token_expires_at,
        incoming_webhook_url=person.incoming_webhook_url,
        incoming_webhook_channel=person.incoming_webhook_channel,
        incoming_webhook_channel_id=person.incoming_webhook_channel_id,
        incoming_webhook_configuration_url=person.incoming_webhook_configuration_url,
        is_enterprise_install=person.is_enterprise_install,
        token_type=person.token_type,
        installed_at=person.installed_at,
    )
    if bot is not None:
        found = to_bot(bot)
        installation.bot_token = found.bot_token
        installation.bot_id = found.bot_id
        installation.bot_user_id = found.bot_user_id
        installation.bot_scopes = found.bot_scopes
        installation.bot_refresh_token = found.bot_refresh_token
        installation.bot_token_expires_at = found.bot_token_expires_at
    return installation


def to_stored(person: UserInstallation, bot: BotInstallation | None) -> StoredInstallation:
    """Return a person's installation with the bot of the same workspace."""
    return StoredInstallation(
        id=person.id,
        app_id=person.app_id,
        enterprise_id=person.enterprise_id or None,
        enterprise_name=person.enterprise_name,
        team_id=person.team_id or None,
        team_name=person.team_name,
        user_id=person.user_id,
        is_enterprise_install=person.is_enterprise_install,
        user_token=person.user_token,
        user_scopes=_scopes(person.user_scopes),
        user_invalid_reason=person.invalid_reason,
        bot_token=None if bot is None else bot.bot_token,
        bot_user_id=None if bot is None else bot.bot_user_id,
        bot_scopes=() if bot is None else _scopes(bot.bot_scopes),
        bot_invalid_reason=None if bot is None else bot.invalid_reason,
        installed_at=person.installed_at,
        profile_recorded_at=person.profile_recorded_at,
    )


def to_grant(revision: int, bot: BotInstallation | None, person: UserInstallation | None) -> Grant:
    """Return the tokens that one request may use."""
    grant = Grant(revision)
    if bot is not None:
        grant = replace(
            grant,
            enterprise_id=bot.enterprise_id or None,
            bot_token=bot.bot_token,
            bot_id=bot.bot_id,
            bot_user_id=bot.bot_user_id,
            bot_scopes=_scopes(bot.bot_scopes),
            bot_token_expires_at=bot.bot_token_expires_at,
            bot_invalid_reason=bot.invalid_reason,
        )
    if person is not None:
        grant = replace(
            grant,
            installation_id=person.id,
            user_token=person.user_token,
            user_scopes=_scopes(person.user_scopes),
            user_token_expires_at=person.user_token_expires_at,
            user_invalid_reason=person.invalid_reason,
        )
    return grant


def _scopes(stored: str) -> tuple[str, ...]:
    return tuple(stored.split(",")) if stored else ()
