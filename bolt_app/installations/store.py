"""Slack's installation store on the database: a drop-in for slack_sdk's `InstallationStore`.

One row per person and workspace (or organization), one row per bot, with encrypted tokens. The
contract: https://docs.slack.dev/tools/python-slack-sdk/oauth
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from slack_sdk.oauth import InstallationStore
from slack_sdk.oauth.installation_store import Bot, Installation
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import BotInstallation, UserInstallation
from bolt_app.db.receipts import is_latest
from bolt_app.db.upsert import upsert
from bolt_app.db.web_sessions import REVOKED, end_sessions, of_installations
from bolt_app.installations.checks import check_people
from bolt_app.installations.organizations import ORGANIZATION, move
from bolt_app.installations.queries import InstallationQueries
from bolt_app.installations.records import to_bot, to_installation
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.serving import serve_by_itself


class Installations(InstallationStore):
    """Stores the installations of one Slack app."""

    def __init__(self, client_id: str, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._rows = InstallationRows(client_id)
        self._removals = InstallationRemovals(self._rows, clock=clock)
        self._queries = InstallationQueries(self._rows)
        self._clock = clock
        self._logger = logging.getLogger(__name__)

    @property
    def logger(self) -> logging.Logger:
        """The logger of the store."""
        return self._logger

    def save(self, installation: Installation) -> None:
        """Insert or update an installation.

        A reinstall without a user token, bot token or webhook keeps the stored one. Sessions that
        began with a token that Slack has rejected since end, because the row becomes valid again.
        All rows of a workspace get the organization that is installed with it.
        """
        with self._database.writing() as session:
            self._begin(session, installation)
            if installation.bot_token is not None:
                self._write_bot(session, installation.to_bot())
            self._write_installation(session, installation)
            enterprise_id, team_id = _key_of(installation)
            write_audit(
                session,
                AuditAction.INSTALLED if installation.bot_token else AuditAction.LINKED,
                at=self._clock(),
                address=client_address(),
                enterprise_id=enterprise_id,
                team_id=team_id,
                user_id=installation.user_id,
            )

    def save_bot(self, bot: Bot) -> None:
        """Insert or update a bot."""
        with self._database.writing() as session:
            self._begin(session, bot)
            self._write_bot(session, bot)

    def find_bot(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        is_enterprise_install: bool | None = False,
    ) -> Bot | None:
        """Return the bot of a workspace, or of an organization."""
        workspace = _key(enterprise_id, team_id, is_enterprise_install)
        with self._database.reading() as session:
            row = session.scalar(
                select(BotInstallation).where(self._rows.at(BotInstallation, *workspace))
            )
        return None if row is None else to_bot(row)

    def find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Return a person's installation, or the latest one, with the current bot."""
        workspace = _key(enterprise_id, team_id, is_enterprise_install)
        statement = (
            select(UserInstallation, BotInstallation)
            .select_from(UserInstallation)
            .outerjoin(BotInstallation, self._rows.at(BotInstallation, *workspace))
            .where(self._rows.at(UserInstallation, *workspace))
            .order_by(UserInstallation.installed_at.desc(), UserInstallation.id.desc())
            .limit(1)
        )
        if user_id is not None:
            statement = statement.where(UserInstallation.user_id == user_id)
        with self._database.reading() as session:
            row = session.execute(statement).first()
        return None if row is None else to_installation(row[0], row[1])

    def delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot of a workspace, or of an organization."""
        with self._database.writing() as session:
            self._removals.remove_bot(session, enterprise_id, team_id)

    def delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Delete one person's installation, or all of them."""
        with self._database.writing() as session:
            self._removals.remove_users(
                session, enterprise_id, team_id, None if user_id is None else [user_id]
            )

    def delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot and all installations in one transaction."""
        with self._database.writing() as session:
            self._removals.remove_all(session, enterprise_id, team_id)

    def _begin(self, session: Session, installed: Installation | Bot) -> None:
        """Lock the installation, and record the organization that Slack has just stated."""
        enterprise_id, team_id = _key_of(installed)
        self._rows.bump_revision(session, enterprise_id, team_id)
        if team_id:
            asked_at = datetime.fromtimestamp(installed.installed_at, UTC)
            is_latest(session, team_id, ORGANIZATION, asked_at, self._clock())
            move(session, self._rows, team_id, enterprise_id, installed.enterprise_name)

    def _write_bot(self, session: Session, bot: Bot) -> None:
        workspace = _key_of(bot)
        if not self._queries.has_working_bot(session, *workspace):
            # Perhaps an uninstall was not reported, which ended the tokens of everyone.
            check_people(session, self._rows, *workspace)
        was_uninstalled = exists().where(
            self._rows.at(BotInstallation, *workspace), BotInstallation.invalid_reason.in_(REVOKED)
        )
        is_there = self._rows.at(UserInstallation, *workspace)
        end_sessions(session, of_installations(is_there, was_uninstalled), self._clock())
        self._removals.forget_other_apps(session, *workspace)
        _, team_id = workspace
        if team_id:
            serve_by_itself(session, team_id, self._clock())
        upsert(
            session,
            BotInstallation,
            key=self._rows.key(*workspace),
            insert={},
            update={
                "app_id": bot.app_id,
                "enterprise_name": bot.enterprise_name,
                "team_name": bot.team_name,
                "bot_token": bot.bot_token,
                "bot_id": bot.bot_id,
                "bot_user_id": bot.bot_user_id,
                "bot_scopes": ",".join(bot.bot_scopes or ()),
                "bot_refresh_token": bot.bot_refresh_token,
                "bot_token_expires_at": _moment(bot.bot_token_expires_at),
                "is_enterprise_install": bot.is_enterprise_install,
                "installed_at": _moment(bot.installed_at),
                "invalid_reason": None,
                "refreshing_until": None,
            },
        )

    def _write_installation(self, session: Session, installation: Installation) -> None:
        values = {
            "app_id": installation.app_id,
            "enterprise_name": installation.enterprise_name,
            "enterprise_url": installation.enterprise_url,
            "team_name": installation.team_name,
            "is_enterprise_install": installation.is_enterprise_install,
            "token_type": installation.token_type,
            "installed_at": _moment(installation.installed_at),
            "profile_recorded_at": None,
        }
        workspace = _key_of(installation)
        if installation.user_token is not None:
            is_theirs = (
                self._rows.at(UserInstallation, *workspace),
                UserInstallation.user_id == installation.user_id,
            )
            was_rejected = UserInstallation.invalid_reason.is_not(None)
            end_sessions(session, of_installations(*is_theirs, was_rejected), self._clock())
            values |= {
                "user_token": installation.user_token,
                "user_scopes": ",".join(installation.user_scopes or ()),
                "user_refresh_token": installation.user_refresh_token,
                "user_token_expires_at": _moment(installation.user_token_expires_at),
                "invalid_reason": None,
                "refreshing_until": None,
            }
        if installation.incoming_webhook_url is not None:
            values |= {
                "incoming_webhook_url": installation.incoming_webhook_url,
                "incoming_webhook_channel": installation.incoming_webhook_channel,
                "incoming_webhook_channel_id": installation.incoming_webhook_channel_id,
                "incoming_webhook_configuration_url": (
                    installation.incoming_webhook_configuration_url
                ),
            }
        upsert(
            session,
            UserInstallation,
            key={**self._rows.key(*workspace), "user_id": installation.user_id},
            insert={},
            update=values,
        )


def _key(
    enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None
) -> tuple[str | None, str | None]:
    return enterprise_id, None if is_enterprise_install else team_id


def _key_of(installed: Installation | Bot) -> tuple[str | None, str | None]:
    return _key(installed.enterprise_id, installed.team_id, installed.is_enterprise_install)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
