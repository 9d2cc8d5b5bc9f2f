"""Grants: the stored tokens for a request, refreshed before they expire."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime

from bolt_app.installations.records import Grant, InstallationStatus
from bolt_app.installations.tokens.grant_reader import GrantReader
from bolt_app.installations.tokens.refresh_leases import TokenOwner
from bolt_app.installations.tokens.rotation import TokenRotator
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenRequest:
    """A request for the tokens of an installation.

    Attributes:
        team_id: the installed workspace; None for an organization-wide installation.
        user_id: the person; None for only the bot.
    """

    enterprise_id: str | None
    team_id: str | None
    user_id: str | None = None


class Grants:
    """Finds grants, and refreshes their tokens."""

    def __init__(self, reader: GrantReader, rotator: TokenRotator, executor: Executor) -> None:
        self._reader = reader
        self._rotator = rotator
        self._executor = executor
        self._lock = threading.Lock()
        self._refreshing: set[TokenOwner] = set()

    def revision(self, request: TokenRequest) -> int:
        """Return the revision of the installation, in one indexed read."""
        return self._reader.revision(enterprise_id=request.enterprise_id, team_id=request.team_id)

    def revisions(self, requests: Collection[TokenRequest]) -> dict[TokenRequest, int]:
        """Return the revisions of the installations, in one indexed read for all."""
        installations = {request: (request.enterprise_id, request.team_id) for request in requests}
        found = self._reader.revisions(installations.values())
        return {request: found.get(key, 0) for request, key in installations.items()}

    def status(self, request: TokenRequest, workspace_id: str) -> InstallationStatus:
        """Return the status of a request in a workspace, in one read."""
        return self._reader.status(
            enterprise_id=request.enterprise_id,
            team_id=request.team_id,
            workspace_id=workspace_id,
            user_id=request.user_id,
        )

    def find(self, request: TokenRequest) -> Grant | None:
        """Return the valid tokens of a request; None if there was never an installation.

        A token that expires soon is refreshed in the background, an expired one immediately.

        Raises:
            SlackCallError: the bot's token has expired, and the refresh failed.
        """
        grant = self._read(request)
        if grant is None:
            return None
        expired = [owner for owner in self._due(request, grant) if not self._can_wait(owner, grant)]
        for owner in expired:
            self._refresh_now(owner)
        if expired:
            grant = self._read(request) or grant
        return self._without_invalid_tokens(grant)

    def is_stale(self, grant: Grant) -> bool:
        """Whether a token in `grant` has expired."""
        bot = grant.bot_token is not None and self._rotator.is_expired(grant.bot_token_expires_at)
        user = grant.user_token is not None and self._rotator.is_expired(
            grant.user_token_expires_at
        )
        return bot or user

    def _read(self, request: TokenRequest) -> Grant | None:
        return self._reader.find(
            enterprise_id=request.enterprise_id, team_id=request.team_id, user_id=request.user_id
        )

    def _due(self, request: TokenRequest, grant: Grant) -> Iterator[TokenOwner]:
        if grant.bot_invalid_reason is None and self._rotator.is_due(grant.bot_token_expires_at):
            yield TokenOwner(request.enterprise_id, request.team_id)
        if grant.user_invalid_reason is None and self._rotator.is_due(grant.user_token_expires_at):
            yield TokenOwner(request.enterprise_id, request.team_id, request.user_id)

    def _can_wait(self, owner: TokenOwner, grant: Grant) -> bool:
        if self._rotator.is_expired(_expiry(owner, grant)):
            return False
        self._refresh_later(owner)
        return True

    def _refresh_now(self, owner: TokenOwner) -> None:
        try:
            self._rotator.refresh(owner)
        except SlackCallError:
            if owner.user_id is None:
                raise
            logger.info("a person's expired token could not be refreshed")

    def _refresh_later(self, owner: TokenOwner) -> None:
        with self._lock:
            if owner in self._refreshing:
                return
            self._refreshing.add(owner)
        self._executor.submit(self._refresh_once, owner)

    def _refresh_once(self, owner: TokenOwner) -> None:
        try:
            self._rotator.refresh(owner)
        except Exception:
            logger.exception("a token could not be refreshed")
        finally:
            with self._lock:
                self._refreshing.discard(owner)

    def _without_invalid_tokens(self, grant: Grant) -> Grant:
        if grant.bot_invalid_reason or self._rotator.is_expired(grant.bot_token_expires_at):
            grant = replace(grant, bot_token=None)
        if grant.user_invalid_reason or self._rotator.is_expired(grant.user_token_expires_at):
            grant = replace(grant, user_token=None)
        return grant


def _expiry(owner: TokenOwner, grant: Grant) -> datetime | None:
    return grant.bot_token_expires_at if owner.user_id is None else grant.user_token_expires_at
