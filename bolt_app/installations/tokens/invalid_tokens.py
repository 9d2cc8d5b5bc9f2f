"""Marks on tokens that Slack rejects."""

from __future__ import annotations

from sqlalchemy import select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import BotInstallation, UserInstallation
from bolt_app.db.web_sessions import REVOKED, end_sessions, of_installations
from bolt_app.installations.rows import InstallationRows

_EXPIRED = "token_expired"


class InvalidTokens:
    """Marks tokens as invalid once Slack rejects them."""

    def __init__(
        self, database: Database, rows: InstallationRows, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._rows = rows
        self._clock = clock

    def mark_bot(
        self, *, enterprise_id: str | None, team_id: str | None, token: str, reason: str
    ) -> None:
        """Record that Slack rejects the bot's token, unless the token was replaced in the meantime.

        An expired token that can be refreshed is refreshed at its next use instead.
        """
        with self._database.writing() as session:
            self._rows.bump_revision(session, enterprise_id, team_id)
            bot = session.scalar(
                select(BotInstallation).where(
                    self._rows.at(BotInstallation, enterprise_id, team_id)
                )
            )
            if bot is None or bot.bot_token != token:
                return
            if reason == _EXPIRED and bot.bot_refresh_token is not None:
                bot.bot_token_expires_at = self._clock()
            else:
                bot.invalid_reason = reason

    def mark_user(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str,
        token: str,
        reason: str,
    ) -> None:
        """Record that Slack rejects a person's token, unless it was replaced in the meantime.

        Their sessions end if it was revoked. An expired token that can be refreshed is refreshed at
        its next use instead.
        """
        with self._database.writing() as session:
            self._rows.bump_revision(session, enterprise_id, team_id)
            person = session.scalar(
                select(UserInstallation).where(
                    self._rows.at(UserInstallation, enterprise_id, team_id),
                    UserInstallation.user_id == user_id,
                )
            )
            if person is None or person.user_token != token:
                return
            if reason == _EXPIRED and person.user_refresh_token is not None:
                person.user_token_expires_at = self._clock()
                return
            person.invalid_reason = reason
            if reason in REVOKED:
                end_sessions(
                    session, of_installations(UserInstallation.id == person.id), self._clock()
                )
