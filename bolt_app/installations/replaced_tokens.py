"""Tokens that an install replaces, verified with Slack before they are lost.

The report of a revocation may have been lost while Bellhop was down. The next install renews the
row, and the sessions that the report had to end would be valid with the new token. Slack is asked
only if it issued another token than the stored one.
"""

from __future__ import annotations

import logging

from slack_sdk.oauth.installation_store import Installation
from sqlalchemy import ColumnElement, select

from bolt_app.db import Database
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import BotInstallation, UserInstallation
from bolt_app.db.web_sessions import REVOKED
from bolt_app.installations.checks import check_people
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.tokens.invalid_tokens import InvalidTokens
from bolt_app.slack_api import SlackApi, SlackCallError

logger = logging.getLogger(__name__)

_EXPIRED = "token_expired"


class ReplacedTokens:
    """Marks the tokens of earlier installs that Slack rejects."""

    def __init__(
        self,
        database: Database,
        rows: InstallationRows,
        invalid_tokens: InvalidTokens,
        api: SlackApi,
    ) -> None:
        self._database = database
        self._rows = rows
        self._invalid_tokens = invalid_tokens
        self._api = api

    def verify(self, installation: Installation) -> None:
        """Mark the tokens that an install will replace, if Slack rejects them.

        The store then ends the sessions that began with them. A person's token that Slack does not
        verify is marked as well. One that has expired proves nothing and is kept. If Slack does not
        say whether the bot's was revoked, the people's tokens are checked after the install: an
        uninstall ended them too.

        Args:
            installation: with the new tokens; it is not stored yet.
        """
        enterprise_id = installation.enterprise_id
        team_id = None if installation.is_enterprise_install else installation.team_id
        user_id = installation.user_id
        try:
            bot = self._find(
                BotInstallation, self._rows.at(BotInstallation, enterprise_id, team_id)
            )
            person = self._find(
                UserInstallation,
                self._rows.at(UserInstallation, enterprise_id, team_id),
                UserInstallation.user_id == user_id,
            )
        except DecryptionError:
            logger.warning("a replaced token cannot be read")
            if installation.bot_token is not None:
                self._check_people(enterprise_id, team_id)
            return
        reason = self._rejection(bot, installation.bot_token)
        # Any other mark would have no effect but to stop the deliveries if the install failed now.
        if reason in REVOKED:
            self._invalid_tokens.mark_bot(
                enterprise_id=enterprise_id, team_id=team_id, token=str(bot), reason=reason
            )
        elif reason is not None:
            self._check_people(enterprise_id, team_id)
        reason = self._rejection(person, installation.user_token)
        if reason is not None and reason != _EXPIRED:
            self._invalid_tokens.mark_user(
                enterprise_id=enterprise_id,
                team_id=team_id,
                user_id=user_id,
                token=str(person),
                reason=reason,
            )

    def _check_people(self, enterprise_id: str | None, team_id: str | None) -> None:
        """Request checks of the people's tokens, which run once the install has ended."""
        with self._database.writing() as session:
            check_people(session, self._rows, enterprise_id, team_id)

    def _find(
        self, model: type[BotInstallation | UserInstallation], *conditions: ColumnElement[bool]
    ) -> str | None:
        """Return a stored token that is not known to be invalid."""
        token = model.bot_token if issubclass(model, BotInstallation) else model.user_token
        statement = select(token).where(*conditions, model.invalid_reason.is_(None))
        with self._database.reading() as session:
            return session.scalar(statement)

    def _rejection(self, stored: str | None, new: str | None) -> str | None:
        """Return Slack's error for a token that another one replaces; None if it was accepted.

        https://docs.slack.dev/reference/methods/auth.test
        """
        if stored is None or new is None or stored == new:
            return None
        try:
            self._api.call(stored, "auth.test")
        except SlackCallError as error:
            logger.info("Slack does not accept a replaced token", extra={"code": error.code})
            return error.code
        return None
