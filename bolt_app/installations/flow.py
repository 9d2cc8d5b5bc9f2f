"""The OAuth flow, based on Bolt's, without partial success.

https://docs.slack.dev/authentication/installing-with-oauth
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from slack_bolt.error import BoltError
from slack_bolt.oauth import OAuthFlow
from slack_bolt.oauth.callback_options import CallbackOptions, FailureArgs
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth import AuthorizeUrlGenerator, OAuthStateStore, OAuthStateUtils
from slack_sdk.oauth.installation_store import Installation
from sqlalchemy.exc import SQLAlchemyError

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.config import Settings
from bolt_app.cookies import read_cookies
from bolt_app.guesses import GuessLimit, TooManyGuessesError
from bolt_app.installations.install_grant import GRANT, InstallGrant
from bolt_app.installations.replaced_tokens import ReplacedTokens
from bolt_app.installations.state import StateStore, hash_of_state
from bolt_app.installations.store import Installations
from bolt_app.manifest import Scopes
from bolt_app.slack_api import SlackApi, SlackCallError
from bolt_app.thread_limit import ThreadLimit

logger = logging.getLogger(__name__)
# Bolt's log messages about an install quote the URL, which anyone can write.
_BOLT_LOGGER = logging.getLogger("slack_bolt.oauth")

STATE_LIFETIME_SECONDS = 600
# Until a person reloads a callback that found too many threads waiting for Slack.
RELOAD_SECONDS = 10
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
# Per browser: less than 4 KiB of cookies in each request, while gunicorn accepts 8 KiB.
ATTEMPTS = 16
# A workspace's or an organization's id.
_TEAM_ID = re.compile(r"[TE][A-Z0-9]{2,31}")


class InstallError(Exception):
    """The install failed; `code` is the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class StateCookies(OAuthStateUtils):
    """Binds a state to the browser that requested it.

    Every attempt has a separate cookie, so that two tabs do not interfere, up to `ATTEMPTS`: more
    cookies could make requests too large. Bolt's cookie has one name for all attempts, is
    always `Secure` (which browsers drop over plain http on a loopback address) and has no
    `SameSite`. Over https the name has a prefix with which no other host can set it, or its page
    could sign a person in to another account. The prefix requires the path `/`
    (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes).
    """

    def __init__(self, *, secure: bool) -> None:
        super().__init__(expiration_seconds=STATE_LIFETIME_SECONDS)
        self._prefix = "__Host-" if secure else ""
        self._attributes = "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def build_set_cookie_for_new_state(self, state: str) -> str:
        """Return the `Set-Cookie` value that binds `state` to this browser."""
        return f"{self._name(state)}={state}; {self._attributes}; Max-Age={STATE_LIFETIME_SECONDS}"

    def build_set_cookie_for_deletion(self) -> str:
        """Not used: Bellhop deletes the cookie of one state (`end_state`)."""
        raise NotImplementedError

    def end_state(self, state: str) -> str:
        """Return the `Set-Cookie` value that deletes the cookie of `state`."""
        return f"{self._name(state)}=; {self._attributes}; Max-Age=0"

    def is_valid_browser(
        self, state: str | None, request_headers: Mapping[str, str | Sequence[str]]
    ) -> bool:
        """Whether the request has the cookie of `state`."""
        return bool(state) and state in self.states(request_headers)

    def states(self, request_headers: Mapping[str, str | Sequence[str]]) -> list[str]:
        """Return the states in the cookies of a request."""
        cookies = request_headers.get("cookie") or ""
        lines = [cookies] if isinstance(cookies, str) else cookies
        pairs = [pair for line in lines for pair in read_cookies(line)]
        return [state for name, state in pairs if name == self._name(state)]

    def _name(self, state: str) -> str:
        return f"{self._prefix}bellhop-oauth-{number_of_attempt(state)}"


def number_of_attempt(state: str) -> int:
    """Return the number of a state's attempt, below `ATTEMPTS`."""
    return int(hash_of_state(state), 16) % ATTEMPTS


class _UnspentStates(OAuthStateStore):
    """The state store for Bolt, which checks a state before the code is exchanged: read-only."""

    def __init__(self, states: StateStore) -> None:
        self._states = states

    @property
    def logger(self) -> logging.Logger:
        """The logger of the store."""
        return self._states.logger

    def issue(self, *args: object, **kwargs: object) -> str:
        """Not used: `InstallFlow.issue_new_state` knows the request."""
        raise NotImplementedError

    def consume(self, state: str) -> bool:
        """Whether `state` is valid; `InstallFlow.store_installation` consumes it."""
        return self._states.is_good(state)


class AuthorizeUrls(AuthorizeUrlGenerator):
    """URLs of Slack's authorize page with encoded parameters (slack_sdk encodes none).

    https://docs.slack.dev/authentication/installing-with-oauth#asking
    """

    def generate(self, state: str, team: str | None = None) -> str:
        """Return the URL for one attempt."""
        query = {
            "state": state,
            "client_id": self.client_id,
            "scope": ",".join(self.scopes or ()),
            "user_scope": ",".join(self.user_scopes or ()),
            "redirect_uri": self.redirect_uri or "",
        }
        if team is not None:
            query["team"] = team
        return f"{self.authorization_url}?{urlencode(query)}"


class InstallFlow(OAuthFlow):
    """Takes a person through Slack's authorize page and back."""

    def __init__(
        self,
        settings: Settings,
        scopes: Scopes,
        *,
        store: Installations,
        state_store: StateStore,
        api: SlackApi,
        slack_waits: ThreadLimit,
        callbacks: CallbackOptions,
        guesses: GuessLimit,
        replaced: ReplacedTokens,
        clock: Clock = utc_now,
    ) -> None:
        """Configure the flow.

        Args:
            slack_waits: limits the threads that wait for Slack.
            guesses: counts codes that Slack rejects.
            replaced: verifies the tokens that an install replaces.
        """
        self._replaced = replaced
        self._clock = clock
        self._api = api
        self._guesses = guesses
        self._slack_waits = slack_waits
        self._states = state_store
        self._store = store
        oauth_settings = OAuthSettings(
            client_id=settings.slack_client_id,
            client_secret=settings.slack_client_secret,
            scopes=list(scopes.bot),
            user_scopes=list(scopes.user),
            redirect_uri=settings.redirect_uri,
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            # The home page has the button; this URL must redirect for installs that begin in
            # Slack's directory (https://docs.slack.dev/slack-marketplace, "direct install URL").
            install_page_rendering_enabled=False,
            authorization_url=f"{settings.slack_base_url}/oauth/v2/authorize",
            callback_options=callbacks,
            installation_store=store,
            state_store=_UnspentStates(state_store),
            state_expiration_seconds=STATE_LIFETIME_SECONDS,
            logger=_BOLT_LOGGER,
        )
        self._cookies = StateCookies(secure=settings.uses_https)
        oauth_settings.state_utils = self._cookies
        super().__init__(client=api.client(), logger=_BOLT_LOGGER, settings=oauth_settings)
        self._install_urls, self._profile_urls = (
            AuthorizeUrls(
                client_id=settings.slack_client_id,
                redirect_uri=settings.redirect_uri,
                scopes=bot_scopes,
                user_scopes=list(scopes.user),
                authorization_url=oauth_settings.authorization_url,
            )
            for bot_scopes in (list(scopes.bot), [])
        )

    def build_authorize_url(self, state: str, request: BoltRequest) -> str:
        """Return the URL of Slack's authorize page.

        With `?only=profile` it asks only for the person's profile: that links a person in a
        workspace that already has the bot, and needs no admin.
        """
        urls = self._profile_urls if _only(request) else self._install_urls
        return urls.generate(state=state, team=_team_id(request))

    def issue_new_state(self, request: BoltRequest) -> str:
        """Return a state that records the request of this attempt.

        It uses the cookie of no other attempt of the browser, or of the one that expires first.
        """
        states = sorted(self._cookies.states(request.headers), key=self._end_of_attempt)
        taken = {number_of_attempt(state) for state in states}
        free = set(range(ATTEMPTS)) - taken or {number_of_attempt(states[0])}
        while True:
            state = self._states.issue(only=_only(request), team_id=_team_id(request))
            if number_of_attempt(state) in free:
                return state

    def handle_callback(self, request: BoltRequest) -> BoltResponse:
        """Handle the redirect from Slack; the callbacks build the response."""
        if _is_direct_install(request):
            return BoltResponse(status=302, headers={"Location": INSTALL_PATH})
        state = _state(request)
        if not self._cookies.is_valid_browser(state, request.headers):
            # Not even an error is accepted from a URL that Slack may not have created.
            return self._fail(request, "invalid_browser")
        try:
            self._guesses.check(client_address())
            with self._slack_waits.enter() as has_room:
                if not has_room:
                    return self._ask_to_reload(request)
                response = self._finish(request)
        except TooManyGuessesError as error:
            response = self._fail(request, "too_many_attempts")
            response.headers["Retry-After"] = [str(error.retry_after)]
            return response
        cookies = list(response.headers.get("set-cookie", ()))
        response.headers["set-cookie"] = [*cookies, self._cookies.end_state(state)]
        return response

    def _ask_to_reload(self, request: BoltRequest) -> BoltResponse:
        """Return the page while too many threads wait for Slack; the attempt stays valid."""
        response = self._fail(request, "overloaded")
        response.headers["Retry-After"] = [str(RELOAD_SECONDS)]
        return response

    def run_installation(self, code: str) -> Installation:
        """Exchange the code for tokens and return the installation.

        Raises:
            InstallError: Slack rejected the code, or did not answer.
            TooManyGuessesError: this client sent too many wrong codes.
        """
        client = client_address()
        self._guesses.reserve(client)
        try:
            answer = self._api.call(
                None,
                "oauth.v2.access",
                code=code,
                client_id=self.settings.client_id,
                client_secret=self.settings.client_secret,
                redirect_uri=self.settings.redirect_uri,
            )
        except SlackCallError as error:
            # The code must not be logged, because it may still be valid.
            logger.warning("the code was not accepted", extra={"code": error.code})
            raise InstallError(error.code if error.is_permanent else "slack_unavailable") from None
        self._guesses.give_back(client)
        installation = _installation(answer, self._bot_facts(answer.get("access_token")))
        # By the clock of web sessions, which are compared with it.
        installation.installed_at = self._clock().timestamp()
        return installation

    def store_installation(self, request: BoltRequest, installation: Installation) -> None:
        """Store the installation, and mark its state as used.

        Slack has accepted the code by now, so nobody can fill the table of states without a Slack
        account.

        Raises:
            InstallError: another callback used the state first.
            BoltError: the database failed; Bolt turns it into `storage_error`.
        """
        try:
            if not self._states.consume(_state(request)):
                raise InstallError("invalid_state")
            request.context[GRANT] = self._grant(installation)
            self._replaced.verify(installation)
            super().store_installation(request, installation)
        except SQLAlchemyError as error:
            logger.exception("the installation could not be stored")
            raise BoltError("the installation could not be stored") from error

    def _grant(self, installation: Installation) -> InstallGrant:
        if installation.bot_token is None:
            return InstallGrant.PROFILE
        known = self._store.find_bot(
            enterprise_id=installation.enterprise_id,
            team_id=installation.team_id,
            is_enterprise_install=installation.is_enterprise_install,
        )
        return InstallGrant.NEW_BOT if known is None else InstallGrant.BOT

    def _end_of_attempt(self, state: str) -> float:
        attempt = self._states.read(state)
        return 0.0 if attempt is None else attempt.expires_at.timestamp()

    def _finish(self, request: BoltRequest) -> BoltResponse:
        try:
            return super().handle_callback(request)
        except InstallError as error:
            return self._fail(request, error.code)
        except SQLAlchemyError:
            logger.exception("the database failed during an install")
            return self._fail(request, "storage_error")

    def _bot_facts(self, bot_token: str | None) -> Mapping[str, Any]:
        """Return the facts from `auth.test`: the bot's id and the URL of the workspace.

        The code is used up by now, so an error must not discard the granted tokens.
        """
        if bot_token is None:
            return {}
        try:
            return self._api.call(bot_token, "auth.test")
        except SlackCallError as error:
            logger.info("auth.test failed after an install", extra={"code": error.code})
            return {}

    def _fail(self, request: BoltRequest, reason: str) -> BoltResponse:
        return self.failure_handler(
            FailureArgs(
                request=request,
                reason=reason,
                suggested_status_code=500,
                settings=self.settings,
                default=self.default_callback_options,
            )
        )


def _state(request: BoltRequest) -> str:
    return next(iter(request.query.get("state") or ()), "")


def _only(request: BoltRequest) -> str | None:
    return "profile" if request.query.get("only") == ["profile"] else None


def _team_id(request: BoltRequest) -> str | None:
    """Return the workspace to preselect; a malformed id is left out."""
    team_id = next(iter(request.query.get("team") or ()), "")
    return team_id if _TEAM_ID.fullmatch(team_id) else None


def _is_direct_install(request: BoltRequest) -> bool:
    """Whether the install began in Slack, which then sends a code without a state.

    Such a code proves nothing about this browser: it is not used, and the person is asked again.
    """
    has_code = bool(request.query.get("code"))
    return has_code and not any(request.query.get("state") or [])


def _installation(answer: Mapping[str, Any], bot: Mapping[str, Any]) -> Installation:
    team: Mapping[str, Any] = answer.get("team") or {}
    enterprise: Mapping[str, Any] = answer.get("enterprise") or {}
    person: Mapping[str, Any] = answer.get("authed_user") or {}
    webhook: Mapping[str, Any] = answer.get("incoming_webhook") or {}
    is_enterprise_install = bool(answer.get("is_enterprise_install"))
    return Installation(
        app_id=answer.get("app_id"),
        enterprise_id=enterprise.get("id"),
        enterprise_name=enterprise.get("name"),
        enterprise_url=bot.get("url") if is_enterprise_install else None,
        team_id=team.get("id"),
        team_name=team.get("name"),
        bot_token=answer.get("access_token"),
        bot_id=bot.get("bot_id"),
        bot_user_id=answer.get("bot_user_id"),
        bot_scopes=answer.get("scope") or "",
        bot_refresh_token=answer.get("refresh_token"),
        bot_token_expires_in=answer.get("expires_in"),
        user_id=person["id"],
        user_token=person.get("access_token"),
        user_scopes=person.get("scope") or "",
        user_refresh_token=person.get("refresh_token"),
        user_token_expires_in=person.get("expires_in"),
        incoming_webhook_url=webhook.get("url"),
        incoming_webhook_channel=webhook.get("channel"),
        incoming_webhook_channel_id=webhook.get("channel_id"),
        incoming_webhook_configuration_url=webhook.get("configuration_url"),
        is_enterprise_install=is_enterprise_install,
        token_type=answer.get("token_type"),
    )
