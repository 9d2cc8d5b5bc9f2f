"""Bolt's OAuth flow, with no way to half-succeed.

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
from bolt_app.config import Settings
from bolt_app.guesses import GuessLimit, TooManyGuessesError
from bolt_app.installations.install_grant import GRANT, InstallGrant
from bolt_app.installations.state import StateStore, hash_of_state
from bolt_app.installations.store import Installations
from bolt_app.manifest import Scopes
from bolt_app.slack_api import SlackApi, SlackCallError

logger = logging.getLogger(__name__)
# What Bolt says of an install quotes the address, which others can write.
_BOLT_LOGGER = logging.getLogger("slack_bolt.oauth")

STATE_LIFETIME_SECONDS = 600
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
# Of both.
COOKIE_PATH = "/slack"
# Of one browser at a time: some 4 KiB of cookies, where gunicorn takes 8 KiB.
ATTEMPTS = 16
# gunicorn takes no longer line, but joins several; browsers send one. More is not parsed.
MAX_COOKIES_LENGTH = 8190
# A workspace's or an organization's id.
_TEAM_ID = re.compile(r"[TE][A-Z0-9]{2,31}")


class InstallError(Exception):
    """The install ended without an installation; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class StateCookies(OAuthStateUtils):
    """Ties a state to the browser that was given it.

    Every attempt has a cookie of its own, so that two tabs do not break one another, up to
    `ATTEMPTS`: a page that opens ever more of them would make requests too large. Bolt's own cookie
    has one name for all, is always `Secure` (which a browser drops over plain http on a loopback
    address) and has no `SameSite`. Over https the prefix of the name keeps other sites of the
    domain from setting one over plain http.
    """

    def __init__(self, *, secure: bool) -> None:
        super().__init__(expiration_seconds=STATE_LIFETIME_SECONDS)
        self._prefix = "__Secure-" if secure else ""
        self._attributes = f"Path={COOKIE_PATH}; HttpOnly; SameSite=Lax" + (
            "; Secure" if secure else ""
        )

    def build_set_cookie_for_new_state(self, state: str) -> str:
        """Return the `Set-Cookie` value that ties `state` to this browser."""
        return f"{self._name(state)}={state}; {self._attributes}; Max-Age={STATE_LIFETIME_SECONDS}"

    def build_set_cookie_for_deletion(self) -> str:
        """Bolt's own pages would use it; ours know which state is done."""
        raise NotImplementedError

    def end_state(self, state: str) -> str:
        """Return the `Set-Cookie` value that ends the tie of `state`."""
        return f"{self._name(state)}=; {self._attributes}; Max-Age=0"

    def is_valid_browser(
        self, state: str | None, request_headers: Mapping[str, str | Sequence[str]]
    ) -> bool:
        """Return whether the request carries the cookie of `state`."""
        return bool(state) and state in self.states(request_headers)

    def states(self, request_headers: Mapping[str, str | Sequence[str]]) -> list[str]:
        """Return the states of all attempts whose cookies a request carries."""
        cookies = request_headers.get("cookie") or ""
        lines = [cookies] if isinstance(cookies, str) else cookies
        lines = [line for line in lines if len(line) <= MAX_COOKIES_LENGTH]
        pairs = [pair.strip().partition("=") for line in lines for pair in line.split(";")]
        return [state for name, _, state in pairs if name == self._name(state)]

    def _name(self, state: str) -> str:
        return f"{self._prefix}bellhop-oauth-{number_of_attempt(state)}"


def number_of_attempt(state: str) -> int:
    """Return which of a browser's attempts a state belongs to: one below `ATTEMPTS`."""
    return int(hash_of_state(state), 16) % ATTEMPTS


class _UnspentStates(OAuthStateStore):
    """States as Bolt checks them before it has the code redeemed: nothing is written by then."""

    def __init__(self, states: StateStore) -> None:
        self._states = states

    @property
    def logger(self) -> logging.Logger:
        """The logger of the store."""
        return self._states.logger

    def issue(self, *args: object, **kwargs: object) -> str:
        """`InstallFlow.issue_new_state` does it, which knows the request."""
        raise NotImplementedError

    def consume(self, state: str) -> bool:
        """Return whether `state` is good; `InstallFlow.store_installation` consumes it."""
        return self._states.is_good(state)


class AuthorizeUrls(AuthorizeUrlGenerator):
    """Addresses of Slack's authorize page, with every parameter encoded (slack_sdk encodes none).

    https://docs.slack.dev/authentication/installing-with-oauth#asking
    """

    def generate(self, state: str, team: str | None = None) -> str:
        """Return the address for one attempt."""
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
        callbacks: CallbackOptions,
        guesses: GuessLimit,
    ) -> None:
        """Wire the flow.

        Args:
            guesses: counts codes that Slack does not accept.
        """
        self._api = api
        self._guesses = guesses
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
            # The home page has the button; this address must redirect for installs that begin
            # in Slack's directory (https://docs.slack.dev/slack-marketplace, "direct install URL").
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
        """Return where Slack asks the person.

        With `?only=profile` it asks for nothing but the person's own profile: that links somebody
        in a workspace which has the bot already, and needs no admin.
        """
        urls = self._profile_urls if _only(request) else self._install_urls
        return urls.generate(state=state, team=_team_id(request))

    def issue_new_state(self, request: BoltRequest) -> str:
        """Return a state that remembers what this attempt asks for.

        It takes the place of no other attempt of the browser, or of the one that ends first.
        """
        states = sorted(self._cookies.states(request.headers), key=self._end_of_attempt)
        taken = {number_of_attempt(state) for state in states}
        free = set(range(ATTEMPTS)) - taken or {number_of_attempt(states[0])}
        while True:
            state = self._states.issue(only=_only(request), team_id=_team_id(request))
            if number_of_attempt(state) in free:
                return state

    def handle_callback(self, request: BoltRequest) -> BoltResponse:
        """Take the person back from Slack: see the callbacks for what they get to see."""
        if _is_direct_install(request):
            return BoltResponse(status=302, headers={"Location": INSTALL_PATH})
        state = _state(request)
        if not self._cookies.is_valid_browser(state, request.headers):
            # Not even an error is taken from an address that Slack may not have made.
            return self._fail(request, "invalid_browser")
        try:
            self._guesses.check(client_address())
            response = self._finish(request)
        except TooManyGuessesError as error:
            response = self._fail(request, "too_many_attempts")
            response.headers["Retry-After"] = [str(error.retry_after)]
            return response
        cookies = list(response.headers.get("set-cookie", ()))
        response.headers["set-cookie"] = [*cookies, self._cookies.end_state(state)]
        return response

    def run_installation(self, code: str) -> Installation:
        """Swap the code for tokens and return the installation.

        Raises:
            InstallError: Slack refused, or did not answer.
            TooManyGuessesError: this client has come with too many wrong codes.
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
            # The code itself must not be logged: it may still be good.
            logger.warning("the code was not accepted", extra={"code": error.code})
            raise InstallError(error.code if error.is_permanent else "slack_unavailable") from None
        self._guesses.give_back(client)
        return _installation(answer, self._bot_facts(answer.get("access_token")))

    def store_installation(self, request: BoltRequest, installation: Installation) -> None:
        """Write the installation down, and that its state was used.

        Slack has accepted the code by now, so that nobody fills the table of states without an
        account at Slack.

        Raises:
            InstallError: another callback with the same state was faster.
            BoltError: the database failed; Bolt turns it into `storage_error`.
        """
        try:
            if not self._states.consume(_state(request)):
                raise InstallError("invalid_state")
            request.context[GRANT] = self._grant(installation)
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
        """Return what `auth.test` adds: the bot's id and the address of the workspace.

        The code is spent by now, so that an error here must not drop what Slack has granted.
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
    """Whether Slack itself began this install: it then sends a code and no state.

    Such a code proves nothing about this browser, so it is left unused and the person asked anew.
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
