"""Installations, access tokens, refresh tokens and their scopes.

See https://docs.slack.dev/authentication/tokens and
https://docs.slack.dev/authentication/using-token-rotation.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from slack_sandbox.errors import ApiError

TOKEN_LIFETIME = 43_200
"""Lifetime of a rotating access token in seconds."""
LIVE_TOKENS = 2
"""Maximum number of live rotating access tokens for one grant."""

TokenKind = Literal["bot", "user"]


class InstallKey(NamedTuple):
    """A workspace, or (``team_id`` None) a whole organization."""

    enterprise_id: str | None
    team_id: str | None

    @property
    def is_org(self) -> bool:
        """Whether the installation is organization-wide."""
        return self.team_id is None

    @property
    def owner(self) -> str:
        """The id that rate limits are counted for."""
        return self.team_id or self.enterprise_id or ""


@dataclass
class Installation:
    """The app in a workspace or organization. ``team_ids`` are the workspaces it may serve."""

    key: InstallKey
    bot_user_id: str | None = None
    bot_id: str | None = None
    team_ids: tuple[str, ...] = ()


@dataclass
class Token:
    """An issued access token."""

    value: str = field(repr=False)
    kind: TokenKind
    key: InstallKey
    user_id: str
    scopes: tuple[str, ...]
    expires_at: float | None = None
    dead: str | None = None
    """The error of a token that no longer works."""

    @property
    def is_live(self) -> bool:
        """Whether the token is neither revoked nor uninstalled (it may have expired)."""
        return self.dead is None


@dataclass
class _RefreshToken:
    kind: TokenKind
    key: InstallKey
    user_id: str
    used: bool = False
    dead: bool = False


class IssuedToken(NamedTuple):
    """A token of ``oauth.v2.access``; ``refresh_token`` only with rotation."""

    token: Token
    refresh_token: str | None


class TokenStore:
    """All installations and tokens. The caller holds the sandbox's lock."""

    def __init__(self) -> None:
        self.installations: dict[InstallKey, Installation] = {}
        self._tokens: dict[str, Token] = {}
        self._refresh_tokens: dict[str, _RefreshToken] = {}

    def check(self, value: str | None, now: float) -> Token:
        """The token of a call. Raises Slack's :class:`ApiError` for an invalid one."""
        if not value:
            raise ApiError("not_authed")
        token = self._tokens.get(value)
        if token is None:
            raise ApiError("invalid_auth")
        if token.dead is not None:
            raise ApiError(token.dead)
        if token.expires_at is not None and now >= token.expires_at:
            raise ApiError("token_expired")
        return token

    def live(self, key: InstallKey, kind: TokenKind | None = None) -> list[Token]:
        """The live tokens of an installation."""
        return [
            token
            for token in self._tokens.values()
            if token.is_live and token.key == key and kind in (None, token.kind)
        ]

    def scopes_of(self, key: InstallKey, kind: TokenKind, user_id: str) -> tuple[str, ...]:
        """The scopes granted to a person, or the bot, so far."""
        scopes = [token.scopes for token in self._of(key, kind, user_id)]
        return _union(*scopes)

    def issue(
        self,
        key: InstallKey,
        kind: TokenKind,
        user_id: str,
        scopes: Iterable[str],
        *,
        now: float,
        rotating: bool,
    ) -> IssuedToken:
        """Issue a token with ``scopes`` added to those granted before.

        Without rotation, an existing token stays the same and gains the scopes.
        """
        granted = _union(self.scopes_of(key, kind, user_id), tuple(scopes))
        held = list(self._of(key, kind, user_id))
        for token in held:
            token.scopes = granted
        if rotating:
            return self._rotating(key, kind, user_id, granted, now)
        lasting = next((token for token in held if token.expires_at is None), None)
        if lasting is None:
            lasting = self._new(key, kind, user_id, granted, None)
        return IssuedToken(lasting, None)

    def refresh(self, refresh_token: str, now: float) -> IssuedToken:
        """Exchange a refresh token, which works once. Raises ``invalid_refresh_token``."""
        grant = self._refresh_tokens.get(refresh_token)
        if grant is None or grant.used or grant.dead:
            raise ApiError("invalid_refresh_token")
        grant.used = True
        scopes = self.scopes_of(grant.key, grant.kind, grant.user_id)
        return self._rotating(grant.key, grant.kind, grant.user_id, scopes, now)

    def revoke(self, key: InstallKey, kind: TokenKind, user_id: str) -> bool:
        """Revoke the tokens of one person, or of the bot. Returns whether there was a live one."""
        held = list(self._of(key, kind, user_id))
        for token in held:
            token.dead = "token_revoked"
        self._revoke_refresh_tokens(key, kind, user_id)
        return bool(held)

    def uninstall(self, key: InstallKey) -> None:
        """Delete an installation and revoke all its tokens.

        A bot token then fails with ``account_inactive`` and a user token with ``token_revoked``, as
        in the error tables of Slack's methods.
        """
        self.installations.pop(key, None)
        for token in self.live(key):
            token.dead = "account_inactive" if token.kind == "bot" else "token_revoked"
        for grant in self._refresh_tokens.values():
            if grant.key == key:
                grant.dead = True

    def _of(self, key: InstallKey, kind: TokenKind, user_id: str) -> Iterator[Token]:
        return (
            token
            for token in self._tokens.values()
            if token.is_live and (token.key, token.kind, token.user_id) == (key, kind, user_id)
        )

    def _revoke_refresh_tokens(self, key: InstallKey, kind: TokenKind, user_id: str) -> None:
        for grant in self._refresh_tokens.values():
            if (grant.key, grant.kind, grant.user_id) == (key, kind, user_id):
                grant.dead = True

    def _rotating(
        self, key: InstallKey, kind: TokenKind, user_id: str, scopes: tuple[str, ...], now: float
    ) -> IssuedToken:
        # The oldest expires first, so that at most two are live, including the new one.
        held = [t for t in self._of(key, kind, user_id) if t.expires_at and t.expires_at > now]
        for token in held[: max(0, len(held) - LIVE_TOKENS + 1)]:
            token.dead = "token_expired"
        token = self._new(key, kind, user_id, scopes, now + TOKEN_LIFETIME)
        refresh_token = f"xoxe-1-{secrets.token_urlsafe(96)}"
        self._refresh_tokens[refresh_token] = _RefreshToken(kind, key, user_id)
        return IssuedToken(token, refresh_token)

    def _new(
        self,
        key: InstallKey,
        kind: TokenKind,
        user_id: str,
        scopes: tuple[str, ...],
        expires_at: float | None,
    ) -> Token:
        prefix = "xoxb" if kind == "bot" else "xoxp"
        value = f"{prefix}-{secrets.randbelow(10**12):012d}-{secrets.token_hex(16)}"
        if expires_at is not None:
            value = f"xoxe.{prefix}-1-{secrets.token_urlsafe(72)}"
        token = Token(value, kind, key, user_id, scopes, expires_at)
        self._tokens[value] = token
        return token


def _union(*lists: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scope for scopes in lists for scope in scopes))
