"""OAuth v2: authorize requests, consent and authorization codes.

See https://docs.slack.dev/authentication/installing-with-oauth.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from slack_sandbox.config import AppConfig
from slack_sandbox.core import CODE_LIFETIME, Code, Core
from slack_sandbox.errors import ApiError, AuthorizeError, NotFoundError
from slack_sandbox.scopes import BOT_SCOPES, USER_SCOPES
from slack_sandbox.tokens import InstallKey
from slack_sandbox.world import User

AUTHORIZE_PATH = "/oauth/v2/authorize"


@dataclass(frozen=True)
class AuthorizeRequest:
    """The parameters of an authorize page."""

    bot_scopes: tuple[str, ...]
    user_scopes: tuple[str, ...]
    redirect_uri: str
    """Where the browser is sent."""
    sent_redirect_uri: str | None
    """The app's own parameter, which it must repeat when it redeems the code."""
    state: str
    team: str | None = None


@dataclass(frozen=True)
class InstallTarget:
    """A workspace or organization, with the people who may install the app there."""

    key: InstallKey
    name: str
    people: tuple[User, ...]


def read_request(config: AppConfig, params: Mapping[str, str]) -> AuthorizeRequest:
    """Read the query of an authorize page.

    Raises :class:`AuthorizeError` where Slack shows an error page.
    """
    if params.get("client_id") != config.client_id:
        raise AuthorizeError("invalid_client_id", "Invalid client_id parameter")
    sent = params.get("redirect_uri") or None
    redirect_uri = _checked_redirect(config, sent)
    bot = _scopes(params.get("scope", ""), BOT_SCOPES)
    user = _scopes(params.get("user_scope", ""), USER_SCOPES)
    if not bot and not user:
        raise AuthorizeError("invalid_scope", "No scopes requested")
    return AuthorizeRequest(
        bot,
        user,
        redirect_uri,
        sent,
        params.get("state", ""),
        params.get("team") or None,
    )


def request_from_url(config: AppConfig, url: str) -> AuthorizeRequest:
    """Read the query of a complete authorize URL."""
    parts = urlsplit(url)
    if parts.path != AUTHORIZE_PATH:
        raise AuthorizeError("not_found", f"{parts.path} is not an authorize page")
    return read_request(config, dict(parse_qsl(parts.query, keep_blank_values=True)))


def install_targets(core: Core, request: AuthorizeRequest) -> list[InstallTarget]:
    """The workspaces and organizations of a request, with the people who may allow it."""
    found: list[InstallTarget] = []
    with core.lock:
        for workspace in core.world.workspaces.values():
            if request.team not in (None, workspace.id):
                continue
            people = [
                user for user in core.world.people_of(workspace.id) if _may_install(user, request)
            ]
            key = InstallKey(workspace.enterprise_id, workspace.id)
            found.append(InstallTarget(key, workspace.name, tuple(people)))
        if core.config.org_deploy and request.team is None:
            found += _organizations(core)
    return found


def _organizations(core: Core) -> list[InstallTarget]:
    return [
        InstallTarget(
            InstallKey(enterprise.id, None),
            enterprise.name,
            tuple(
                user
                for user in core.world.users.values()
                if user.enterprise_id == enterprise.id and user.is_org_admin and not user.deleted
            ),
        )
        for enterprise in core.world.enterprises.values()
    ]


def allow(
    core: Core,
    request: AuthorizeRequest,
    key: InstallKey,
    user_id: str,
    optional: Collection[str] = (),
) -> str:
    """Allow a request, with these optional scopes. Returns the redirect URL with a code and the
    state.

    See https://docs.slack.dev/changelog/2026/03/16/optional-scopes. Raises :class:`AuthorizeError`
    if that person may not install the app there.
    """
    code = _new_code(core, request, key, user_id, optional)
    return _with_query(request.redirect_uri, code=code.value, state=request.state)


def manifest_code(core: Core, user_id: str, team_id: str) -> Code:
    """A code for the scopes of the manifest, without a redirect URL.

    Raises :class:`AuthorizeError` if that person may not install the app there.
    """
    bot = _scopes(",".join(core.config.bot_scopes), BOT_SCOPES)
    user = _scopes(",".join(core.config.user_scopes), USER_SCOPES)
    request = AuthorizeRequest(bot, user, redirect_uri="", sent_redirect_uri=None, state="")
    return _new_code(core, request, core.key_for(team_id), user_id)


def _new_code(
    core: Core,
    request: AuthorizeRequest,
    key: InstallKey,
    user_id: str,
    optional: Collection[str] = (),
) -> Code:
    left_out = set(core.config.optional_bot_scopes) - set(optional)
    with core.lock:
        target = next(
            (target for target in install_targets(core, request) if target.key == key), None
        )
        if target is None:
            raise AuthorizeError("invalid_team", "The app cannot be installed in this workspace")
        if all(user.id != user_id for user in target.people):
            raise AuthorizeError("not_allowed", "You are not allowed to install this app here")
        code = Code(
            f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(32)}",
            key,
            user_id,
            tuple(scope for scope in request.bot_scopes if scope not in left_out),
            request.user_scopes,
            request.sent_redirect_uri,
            core.clock(),
        )
        core.codes[code.value] = code
    return code


def cancel(request: AuthorizeRequest) -> str:
    """Cancel a request. Returns the redirect URL."""
    return _with_query(request.redirect_uri, error="access_denied", state=request.state)


def direct_install(core: Core, user_id: str, team_id: str) -> str:
    """Install from Slack's directory. Returns the redirect URL with a code and no state."""
    config = core.config
    query = {
        "client_id": config.client_id,
        "scope": ",".join(config.bot_scopes),
        "user_scope": ",".join(config.user_scopes),
    }
    request = read_request(config, query)
    return allow(core, request, core.key_for(team_id), user_id)


def check_client(config: AppConfig, client_id: str | None, client_secret: str | None) -> None:
    """Raise ``invalid_client_id`` or ``bad_client_secret`` for wrong credentials."""
    if client_id != config.client_id:
        raise ApiError("invalid_client_id")
    if not hmac.compare_digest((client_secret or "").encode(), config.client_secret.encode()):
        raise ApiError("bad_client_secret")


def redeem(core: Core, value: str | None, redirect_uri: str | None) -> Code:
    """Redeem a code. Raises the :class:`ApiError` of ``oauth.v2.access`` for an invalid one."""
    code = core.codes.get(value or "")
    if code is None:
        raise ApiError("invalid_code")
    if code.used:
        raise ApiError("code_already_used")
    if core.clock() >= code.issued_at + CODE_LIFETIME:
        raise ApiError("invalid_code")
    if (redirect_uri or None) != code.redirect_uri:
        raise ApiError("bad_redirect_uri")
    code.used = True
    return code


def find_user(core: Core, user_id: str) -> User:
    """The person with this id. Raises AuthorizeError for an unknown one."""
    try:
        return core.get_user(user_id)
    except NotFoundError as error:
        raise AuthorizeError("user_not_found", str(error)) from None


def _may_install(user: User, request: AuthorizeRequest) -> bool:
    if user.deleted or user.is_bot:
        return False
    # Guests may grant user scopes, but not install a bot.
    return not (request.bot_scopes and (user.is_restricted or user.is_ultra_restricted))


def _scopes(text: str, known: Mapping[str, str]) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(scope for scope in text.split(",") if scope))
    unknown = [scope for scope in scopes if scope not in known]
    if unknown:
        raise AuthorizeError(
            "invalid_scope", f"Invalid permissions requested: {', '.join(unknown)}"
        )
    return scopes


def _checked_redirect(config: AppConfig, sent: str | None) -> str:
    if sent is None:
        if not config.redirect_urls:
            raise AuthorizeError("bad_redirect_uri", "The app has no redirect URL")
        return config.redirect_urls[0]
    target = urlsplit(sent)
    if any(_is_under(target, urlsplit(url)) for url in config.redirect_urls):
        if target.scheme == "https" or _is_loopback(target.hostname or ""):
            return sent
        raise AuthorizeError("bad_redirect_uri", "A redirect URL must use https")
    raise AuthorizeError(
        "bad_redirect_uri",
        f"redirect_uri did not match any configured URIs. Passed URI: {sent}",
    )


def _is_under(target: SplitResult, configured: SplitResult) -> bool:
    """Slack accepts a configured URL and any path below it."""
    if (target.scheme, target.netloc) != (configured.scheme, configured.netloc):
        return False
    stem = configured.path.rstrip("/")
    return target.path == configured.path or target.path.startswith(stem + "/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _with_query(url: str, **params: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *params.items()]
    return urlunsplit(parts._replace(query=urlencode(query)))
