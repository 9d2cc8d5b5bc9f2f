"""Revocation of tokens at Slack.

Unlinking deletes a person's data in one transaction. Their encrypted token is kept only until Slack
has revoked it, so that a crash or outage in between leaves no valid token behind.
"""

from __future__ import annotations

import logging

from sqlalchemy import delete, select

from bolt_app.db import Database
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import TokenRevocation
from bolt_app.slack_api import SlackApi, SlackCallError

logger = logging.getLogger(__name__)


class Revocations:
    """Calls `auth.revoke` for tokens that are no longer used."""

    def __init__(self, database: Database, api: SlackApi) -> None:
        self._database = database
        self._api = api

    def revoke_pending(self) -> tuple[int, list[SlackCallError]]:
        """Revoke every queued token. Repeating it is harmless.

        https://docs.slack.dev/reference/methods/auth.revoke

        Returns: the number of revoked tokens, and the errors of the others.
        """
        errors = []
        with self._database.reading() as session:
            due = session.scalars(select(TokenRevocation.id).order_by(TokenRevocation.id)).all()
        unreadable = 0
        for revocation_id in due:
            try:
                self._revoke(revocation_id)
            except SlackCallError as error:
                logger.warning("a token could not be revoked yet", extra={"code": error.code})
                errors.append(error)
            except DecryptionError:
                # It is kept until its encryption key is available again.
                logger.warning("a token to revoke cannot be read", extra={"id": revocation_id})
                unreadable += 1
        return len(due) - len(errors) - unreadable, errors

    def _revoke(self, revocation_id: int) -> None:
        with self._database.reading() as session:
            revocation = session.get(TokenRevocation, revocation_id)
        if revocation is None:
            return
        try:
            self._api.call(revocation.token, "auth.revoke")
        except SlackCallError as error:
            if not error.is_dead_token:
                raise
        with self._database.writing() as session:
            session.execute(delete(TokenRevocation).where(TokenRevocation.id == revocation_id))
