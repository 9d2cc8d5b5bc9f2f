"""One Web API call: its token and arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slack_sandbox.core import Core
from slack_sandbox.errors import ApiError, InvalidArgumentsError
from slack_sandbox.tokens import Installation, Token
from slack_sandbox.world import Channel, JsonDict, User

MOST_PER_PAGE = 1_000


@dataclass
class Call:
    """An authorized call. ``token_or_none`` is None only for methods without a token."""

    core: Core
    arguments: Mapping[str, Any]
    token_or_none: Token | None
    basic: tuple[str, str] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def token(self) -> Token:
        """The token of the call. Raises ``not_authed``."""
        if self.token_or_none is None:
            raise ApiError("not_authed")
        return self.token_or_none

    @property
    def installation(self) -> Installation:
        """The token's installation. Raises ``invalid_auth``."""
        found = self.core.tokens.installations.get(self.token.key)
        if found is None:
            raise ApiError("invalid_auth")
        return found

    @property
    def viewer(self) -> User:
        """The bot or person that the token belongs to."""
        return self.core.get_user(self.token.user_id)

    def has(self, *scopes: str) -> bool:
        """Whether the token has at least one of these scopes."""
        return bool(set(scopes) & set(self.token.scopes))

    def need(self, *scopes: str) -> None:
        """Raise ``missing_scope`` unless the token has at least one of these scopes."""
        if not self.has(*scopes):
            raise missing_scope(self.token, scopes)

    def team_id(self) -> str:
        """The workspace of the call.

        A workspace's token implies its workspace. An organization's token needs the argument
        ``team_id``: raises ``missing_argument`` without it, and ``team_access_not_granted`` for a
        workspace the app may not serve.
        """
        key = self.token.key
        if key.team_id is not None:
            return key.team_id
        team_id = self.text("team_id")
        if not team_id:
            raise ApiError("missing_argument")
        if team_id not in self.installation.team_ids:
            raise ApiError("team_access_not_granted")
        return team_id

    def text(self, name: str, default: str = "") -> str:
        """An argument as a string."""
        value = self.arguments.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (dict, list)):
            raise InvalidArgumentsError(f"must be a string [json-pointer:/{name}]")
        return str(value)

    def need_text(self, name: str) -> str:
        """A required argument as a string."""
        value = self.text(name)
        if not value:
            raise InvalidArgumentsError(f"missing required field: {name}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean argument; ``1`` and ``0`` are accepted as well."""
        value = self.text(name).lower()
        if not value:
            return default
        return value in ("1", "true")

    def number(self, name: str, default: int) -> int:
        """An integer argument."""
        value = self.text(name)
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise InvalidArgumentsError(f"must be an integer [json-pointer:/{name}]") from None

    def structure(self, name: str, error: str = "invalid_arguments") -> Any:
        """A JSON argument: a value of a JSON body, or a string of JSON."""
        value = self.arguments.get(name)
        if not isinstance(value, str) or not value:
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ApiError(error) from None

    def limit(self, default: int, maximum: int = MOST_PER_PAGE) -> int:
        """The ``limit`` of a page. Raises ``invalid_limit``."""
        number = self.number("limit", default)
        if number == 0:
            return default
        if not 1 <= number <= maximum:
            raise ApiError("invalid_limit")
        return number

    def channels(self) -> list[Channel]:
        """All conversations of the token's workspaces."""
        teams = set(self.installation.team_ids)
        return [
            channel
            for channel in self.core.world.channels.values()
            if teams.intersection(channel.home_team_ids)
        ]

    def sees(self, channel: Channel) -> bool:
        """Whether the caller may know that a conversation exists."""
        if self.viewer.id in channel.members:
            return True
        hidden = channel.is_private or channel.is_im
        return not hidden and not self.viewer.is_restricted

    def find_channel(self, channel_id: str) -> Channel:
        """A conversation by id. Raises ``channel_not_found``."""
        channel = self.core.world.channels.get(channel_id)
        if channel is None or not set(channel.home_team_ids) & set(self.installation.team_ids):
            raise ApiError("channel_not_found")
        if not self.sees(channel):
            raise ApiError("channel_not_found")
        return channel

    def find_user(self, user_id: str) -> User:
        """A user of the token's workspaces. Raises ``user_not_found``."""
        user = self.core.world.users.get(user_id)
        if user is None or not self._serves(user):
            raise ApiError("user_not_found")
        return user

    def find_seen_user(self, user_id: str) -> User:
        """A user of the token's workspaces, or one who shares a channel with them.

        Raises ``user_not_found``.
        """
        user = self.core.world.users.get(user_id)
        if user is None or not (self._serves(user) or self._shares_channel(user)):
            raise ApiError("user_not_found")
        return user

    def show_user(self, user: User) -> JsonDict:
        """A user with the fields this token may see."""
        return user.as_slack(
            self.core.base_url,
            at=self.core.clock(),
            with_email=self.has("users:read.email"),
            with_locale=self.flag("include_locale"),
        )

    def _serves(self, user: User) -> bool:
        return bool(set(user.team_ids) & set(self.installation.team_ids))

    def _shares_channel(self, user: User) -> bool:
        return any(
            user.id in channel.members
            for team_id in self.installation.team_ids
            for channel in self.core.world.channels_of(team_id)
        )


def missing_scope(token: Token, needed: tuple[str, ...]) -> ApiError:
    """The ``missing_scope`` error, with needed and provided scopes."""
    return ApiError("missing_scope", needed=",".join(needed), provided=",".join(token.scopes))
