"""Calls to Slack with the tokens of an installation.

The only module that uses stored tokens: an expired one is refreshed first, and one that Slack
rejects is marked as invalid, so that people can be asked to reinstall.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection

from bolt_app.batching import AsyncBatcher
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.installations.records import Grant, StoredInstallation
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.installations.tokens.grants import TokenRequest
from bolt_app.installations.tokens.invalid_tokens import InvalidTokens
from bolt_app.logs import LoggableError
from bolt_app.slack_api import BeforeRequest, SlackApi, SlackCallError
from bolt_app.slack_threads import SlackThreads
from bolt_app.workspaces.rate_limits import PACED_BY_LANES, RateLimits

# How long the installation that serves a workspace is cached; tokens are validated separately.
WORKSPACE_SECONDS = 1.0
# More than any workspace needs, at 999 per page: an endless cursor is an error of Slack.
MOST_PAGES = 1000
# The largest page of auth.teams.list.
WORKSPACES_PAGE = 1000
# Threads in which coroutines look up tokens, all and those of one workspace: an expired token is
# refreshed, for which Slack is called.
TOKEN_THREADS, TOKEN_THREADS_OF_ONE = 16, 2


class NotInstalledError(LoggableError):
    """Bellhop is not installed in the workspace, or no longer."""

    def __init__(self, team_id: str) -> None:
        super().__init__(
            f"Bellhop is not installed in the workspace {team_id}: open its home page and click "
            "Add to Slack."
        )


@dataclass(frozen=True)
class BotWorkspace:
    """A workspace, and the installation that serves it: the workspace's or its organization's."""

    enterprise_id: str | None
    team_id: str
    is_enterprise_install: bool

    @classmethod
    def of(cls, installation: StoredInstallation, team_id: str) -> Self:
        """Return the workspace `team_id` as `installation` serves it."""
        return cls(installation.enterprise_id, team_id, installation.is_enterprise_install)

    @property
    def installed_team_id(self) -> str | None:
        """The installed workspace; None if the organization is installed."""
        return None if self.is_enterprise_install else self.team_id


class WorkspaceClient:
    """Calls Slack's Web API as the bot of a workspace or as a person."""

    def __init__(
        self,
        directory: InstallationDirectory,
        invalid_tokens: InvalidTokens,
        grants: GrantCache,
        api: SlackApi,
        rate_limits: RateLimits,
    ) -> None:
        self._directory = directory
        self._invalid_tokens = invalid_tokens
        self._grants = grants
        self._api = api
        self._rate_limits = rate_limits
        self._workspaces: dict[str, tuple[float, BotWorkspace]] = {}
        self._unchanged = AsyncBatcher(self._find_unchanged)
        self._threads = SlackThreads(TOKEN_THREADS, most_of_one=TOKEN_THREADS_OF_ONE, name="tokens")

    def close(self) -> None:
        """End the threads that look up tokens."""
        self._threads.close()

    def find_workspace(self, team_id: str) -> BotWorkspace:
        """Return the workspace `team_id` and its installation, at most a second old.

        Raises:
            NotInstalledError: neither it nor its organization has the bot.
        """
        if (known := self._cached_workspace(team_id)) is not None:
            return known
        # An organization's installation has no workspace: an empty id would match any of them.
        found = self._directory.find_workspace(team_id) if team_id else None
        if found is None:
            raise NotInstalledError(team_id)
        enterprise_id, is_enterprise_install = found
        workspace = BotWorkspace(enterprise_id, team_id, is_enterprise_install)
        self._workspaces[team_id] = time.monotonic(), workspace
        return workspace

    def require_installed(self, connection: Connection, team_id: str) -> None:
        """Require that Bellhop is installed at this moment, in the transaction of a caller.

        Raises:
            NotInstalledError: neither the workspace nor its organization has the bot.
        """
        if not self._directory.has_bot_in(connection, team_id):
            raise NotInstalledError(team_id)

    def keep_installed(self, connection: Connection, team_id: str) -> None:
        """Require it like `require_installed`; an uninstall waits for the end of the transaction.

        Call it before other rows are locked, as an uninstall does.
        """
        self._directory.lock(connection, team_id)
        self.require_installed(connection, team_id)

    async def find_workspace_soon(self, team_id: str) -> BotWorkspace:
        """Find a workspace like `find_workspace`, from a coroutine."""
        if (known := self._cached_workspace(team_id)) is not None:
            return known
        return await asyncio.to_thread(self.find_workspace, team_id)

    def forget_workspace(self, team_id: str | None) -> None:
        """Drop the cached installation of a workspace; None: of all workspaces."""
        if team_id is None:
            self._workspaces.clear()
        else:
            self._workspaces.pop(team_id, None)

    def has_scope(self, workspace: BotWorkspace, scope: str) -> bool:
        """Whether the bot of a workspace was granted `scope`."""
        grant = self._grants.find(
            TokenRequest(workspace.enterprise_id, workspace.installed_team_id)
        )
        return grant is not None and scope in grant.bot_scopes

    async def has_scope_soon(self, workspace: BotWorkspace, scope: str) -> bool:
        """Check a scope like `has_scope`, from a coroutine on the HTTP loop."""
        return await self._threads.run(workspace.team_id, self.has_scope, workspace, scope)

    def as_bot(self, workspace: BotWorkspace, method: str, /, **arguments: Any) -> dict[str, Any]:
        """Call `method` as the bot of a workspace and return Slack's response.

        If the token has expired, it is refreshed and the call repeated.

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: Slack refused the call, limited it or did not answer.
        """
        for is_last in (False, True):
            token = self._ready_token(workspace, method)
            try:
                return self._api.call(token, method, **arguments)
            except SlackCallError as error:
                self._record_failure(workspace, token, error)
                if is_last or error.code != "token_expired":
                    raise
        raise AssertionError("unreachable")

    def room(self, method: str) -> AbstractContextManager[None]:
        """Let this thread wait for several calls of a method, until the context ends.

        Raises:
            SlackCallError: too many threads wait for Slack (`overloaded`).
        """
        return self._api.room(method)

    def workspaces_of(self, enterprise_id: str) -> dict[str, str | None]:
        """Return the names of the workspaces that an organization's installation serves, by id.

        https://docs.slack.dev/reference/methods/auth.teams.list

        Raises:
            NotInstalledError: the organization has no installation.
            SlackCallError: Slack refused the call or did not answer.
        """
        organization = BotWorkspace(enterprise_id, "", is_enterprise_install=True)
        teams = self.pages_as_bot(organization, "auth.teams.list", "teams", limit=WORKSPACES_PAGE)
        return {str(team["id"]): team.get("name") for team in teams}

    def pages_as_bot(
        self, workspace: BotWorkspace, method: str, items: str, /, **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """Call a paginated method as the bot; yield the items of its list `items`.

        https://docs.slack.dev/apis/web-api/pagination

        Raises:
            NotInstalledError: the workspace has no bot.
            SlackCallError: as with `as_bot`, or there are too many pages.
        """
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            answer = self.as_bot(workspace, method, cursor=cursor, **arguments)
            yield from answer[items]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
        raise SlackCallError(method, "too_many_pages")

    async def call_as_bot(
        self,
        workspace: BotWorkspace,
        method: str,
        /,
        *,
        before_request: BeforeRequest | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Call `method` like `as_bot`, from a coroutine on the HTTP loop.

        Args:
            before_request: awaited once a connection is free, just before the request is sent.

        Raises:
            NotInstalledError, SlackCallError: as with `as_bot`.
            NotSentError: `before_request` raised it.
        """
        for is_last in (False, True):
            token = await self._token_soon(workspace, method)
            try:
                return await self._api.call_async(
                    token, method, before_request=before_request, **arguments
                )
            except SlackCallError as error:
                await asyncio.to_thread(self._record_failure, workspace, token, error)
                if is_last or error.code != "token_expired":
                    raise
        raise AssertionError("unreachable")

    async def pages_as_bot_async(
        self, workspace: BotWorkspace, method: str, items: str, /, **arguments: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield items like `pages_as_bot`, from a coroutine on the HTTP loop.

        Raises:
            NotInstalledError, SlackCallError: as with `pages_as_bot`.
        """
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            answer = await self.call_as_bot(workspace, method, cursor=cursor, **arguments)
            for item in answer[items]:
                yield item
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
        raise SlackCallError(method, "too_many_pages")

    def _cached_workspace(self, team_id: str) -> BotWorkspace | None:
        since, workspace = self._workspaces.get(team_id, (0.0, None))
        is_fresh = workspace is not None and time.monotonic() - since < WORKSPACE_SECONDS
        return workspace if is_fresh else None

    async def _token_soon(self, workspace: BotWorkspace, method: str) -> str:
        """Return a token like `_ready_token`; concurrent calls share one lookup of grants."""
        if method in PACED_BY_LANES:
            request = TokenRequest(workspace.enterprise_id, workspace.installed_team_id)
            if (grant := await self._unchanged.call(request)) is not None:
                return _token_in(grant, workspace, method)
        return await self._threads.run(workspace.team_id, self._ready_token, workspace, method)

    async def _find_unchanged(
        self, requests: Collection[TokenRequest]
    ) -> Mapping[TokenRequest, Grant]:
        return await asyncio.to_thread(self._grants.find_unchanged, requests)

    def _ready_token(self, workspace: BotWorkspace, method: str) -> str:
        self._rate_limits.check(workspace.team_id, method)
        return self._bot_token(workspace, method)

    def _record_failure(self, workspace: BotWorkspace, token: str, error: SlackCallError) -> None:
        self._rate_limits.record(workspace.team_id, error)
        if error.is_dead_token:
            self._invalid_tokens.mark_bot(
                enterprise_id=workspace.enterprise_id,
                team_id=workspace.installed_team_id,
                token=token,
                reason=error.code,
            )

    def _bot_token(self, workspace: BotWorkspace, method: str) -> str:
        request = TokenRequest(workspace.enterprise_id, workspace.installed_team_id)
        return _token_in(self._grants.find(request), workspace, method)

    def verify_bot(self, workspace: BotWorkspace) -> Mapping[str, Any] | None:
        """Check the bot's token with Slack, and mark a rejected one as invalid.

        https://docs.slack.dev/reference/methods/auth.test

        Returns: Slack's answer; empty if it refused the call for another reason than the token, and
            None without a token that Slack accepts.

        Raises:
            SlackCallError: Slack did not answer, or limited the call.
        """
        try:
            return self.as_bot(workspace, "auth.test")
        except NotInstalledError:
            return None
        except SlackCallError as error:
            if not error.is_permanent:
                raise
            return None if error.is_dead_token else {}

    def verify_user(self, installation: StoredInstallation) -> None:
        """Check a person's token with Slack, and mark a rejected one as invalid.

        Raises:
            SlackCallError: Slack did not answer, or an expired token could not be refreshed.
        """
        if installation.user_token is None:
            return
        request = TokenRequest(
            installation.enterprise_id, installation.team_id, installation.user_id
        )
        grant = self._grants.find(request)
        if grant is None or grant.user_invalid_reason is not None:
            return
        if grant.user_token is None:
            raise SlackCallError("auth.test", "unavailable")
        try:
            self.as_user(installation, "auth.test")
        except SlackCallError as error:
            if not error.is_permanent:
                raise

    def as_function(self, token: str, method: str, /, **arguments: Any) -> dict[str, Any]:
        """Call `method` with the token of a workflow step.

        https://docs.slack.dev/reference/events/function_executed

        Raises:
            SlackCallError: Slack refused the call or did not answer.
        """
        return self._api.call(token, method, **arguments)

    def as_user(
        self, installation: StoredInstallation, method: str, /, **arguments: Any
    ) -> dict[str, Any]:
        """Call `method` as the person of `installation`, or as the bot if they granted no token.

        Raises:
            NotInstalledError: neither has a token.
            SlackCallError: Slack refused the call or did not answer.
        """
        request = TokenRequest(
            installation.enterprise_id, installation.team_id, installation.user_id
        )
        grant = self._grants.find(request)
        if grant is not None and grant.user_invalid_reason is not None:
            raise SlackCallError(method, grant.user_invalid_reason)
        if grant is None or grant.user_token is None:
            workspace = BotWorkspace.of(installation, installation.team_id or "")
            return self.as_bot(workspace, method, **arguments)
        try:
            return self._api.call(grant.user_token, method, **arguments)
        except SlackCallError as error:
            if error.is_dead_token:
                self._invalid_tokens.mark_user(
                    enterprise_id=request.enterprise_id,
                    team_id=request.team_id,
                    user_id=installation.user_id,
                    token=grant.user_token,
                    reason=error.code,
                )
            raise


def _token_in(grant: Grant | None, workspace: BotWorkspace, method: str) -> str:
    if grant is not None and grant.bot_invalid_reason is not None:
        raise SlackCallError(method, grant.bot_invalid_reason)
    if grant is None or grant.bot_token is None:
        raise NotInstalledError(workspace.team_id)
    return grant.bot_token
