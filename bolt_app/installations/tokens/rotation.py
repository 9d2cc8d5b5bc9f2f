"""Token rotation: expiring tokens are refreshed by one process at a time.

https://docs.slack.dev/authentication/using-token-rotation: a refresh token works once, so if two
processes use it, one of them ends up with invalid tokens. A lease in the row decides which process
calls Slack, without an open transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from bolt_app.clock import Clock, utc_now
from bolt_app.installations.tokens.refresh_leases import RefreshableToken, RefreshLeases, TokenOwner
from bolt_app.slack_api import SlackApi, SlackCallError

logger = logging.getLogger(__name__)

# Slack's tokens are valid for twelve hours; slack_sdk also refreshes two hours before expiry.
REFRESH_BEFORE = timedelta(hours=2)
# Calls to Slack time out after ten seconds, so the holder of an older lease has failed.
LEASE = timedelta(seconds=30)
_POLL_SECONDS = 0.1
_MOST_POLLS = int(LEASE.total_seconds() / _POLL_SECONDS) + 10
# The error of `oauth.v2.access` for an invalid refresh token, besides the codes of an invalid
# token. Other errors, such as a wrong client secret, are not caused by the installation.
_DEAD_REFRESH_TOKEN = "invalid_refresh_token"  # noqa: S105
_METHOD = "oauth.v2.access"


class TokenRotator:
    """Refreshes the tokens of bots and of people."""

    def __init__(
        self,
        leases: RefreshLeases,
        api: SlackApi,
        *,
        client_id: str,
        client_secret: str,
        clock: Clock = utc_now,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._leases = leases
        self._api = api
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._wait = wait

    def is_due(self, expires_at: datetime | None) -> bool:
        """Whether a token with this expiry should be refreshed."""
        return expires_at is not None and expires_at - self._clock() <= REFRESH_BEFORE

    def is_expired(self, expires_at: datetime | None) -> bool:
        """Whether a token with this expiry has expired."""
        return expires_at is not None and expires_at <= self._clock()

    def refresh(self, owner: TokenOwner) -> None:
        """Refresh a token that is due. Afterwards the stored token is valid.

        If another process is refreshing it, waits only if the old token has expired.

        Raises:
            SlackCallError: the refresh failed, and the old token has expired.
        """
        for _ in range(_MOST_POLLS):
            token = self._leases.find(owner)
            if token is None or not self.is_due(token.expires_at):
                return
            until = self._clock() + LEASE
            if self._leases.take(owner, token, until=until):
                self._exchange(owner, token, until)
                return
            if not self.is_expired(token.expires_at):
                return
            self._wait(_POLL_SECONDS)
        raise SlackCallError(_METHOD, "unavailable")

    def _exchange(self, owner: TokenOwner, token: RefreshableToken, until: datetime) -> None:
        try:
            answer = self._api.call(
                None,
                _METHOD,
                client_id=self._client_id,
                client_secret=self._client_secret,
                grant_type="refresh_token",
                refresh_token=token.refresh_token,
            )
        except SlackCallError as error:
            self._give_up(owner, token, until, error)
            return
        self._leases.finish(
            owner,
            token,
            access_token=str(answer["access_token"]),
            refresh_token=answer.get("refresh_token"),
            expires_at=self._clock() + timedelta(seconds=int(answer["expires_in"])),
        )
        logger.info("a token was refreshed", extra={"owner": str(owner)})

    def _give_up(
        self, owner: TokenOwner, token: RefreshableToken, until: datetime, error: SlackCallError
    ) -> None:
        logger.warning(
            "a token could not be refreshed", extra={"owner": str(owner), "code": error.code}
        )
        if error.is_dead_token or error.code == _DEAD_REFRESH_TOKEN:
            self._leases.reject(owner, token, error.code)
            return
        self._leases.end(owner, token, until=until)
        if self.is_expired(token.expires_at):
            raise error
