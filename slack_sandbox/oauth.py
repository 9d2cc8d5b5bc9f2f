"""OAuth v2 as Slack does it: what is asked for, who allows it, and the code that comes of it.

See https://docs.slack.dev/authentication/installing-with-oauth.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
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
    """Where the browser goes."""
    sent_redirect_uri: str | None
    """What the app named, which it must name again when it redeems the code."""
    state: str
    team: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a person may allow it: a workspace, or a whole organisation."""

    key: InstallKey
    name: str
    people: tuple[User, ...]


def read_request(config: AppConfig, params: Mapping[str, str]) -> AuthorizeRequest:
    """Read the query of an authorize page.

    Raises :class:`AuthorizeError` where Slack shows an error instead of the page.
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
    """The same from a whole authorize address."""
    parts = urlsplit(url)
    if parts.path != AUTHORIZE_PATH:
        raise AuthorizeError("not_found", f"{parts.path} is not an authorize page")
    return read_request(config, dict(parse_qsl(parts.query, keep_blank_values=True)))


def places(core: Core, request: AuthorizeRequest) -> list[Place]:
    """Where the request may be allowed, each with the people who may."""
    found: list[Place] = []
    with core.lock:
        for workspace in core.world.workspaces.values():
            if request.team not in (None, workspace.id):
                continue
            people = [one for one in core.world.people_of(workspace.id) if _may(one, request)]
            key = InstallKey(workspace.enterprise_id, workspace.id)
            found.append(Place(key, workspace.name, tuple(people)))
        if core.config.org_deploy and request.team is None:
            found += _organisations(core)
    return found


def _organisations(core: Core) -> list[Place]:
    return [
        Place(
            InstallKey(enterprise.id, None),
            enterprise.name,
            tuple(
                one
                for one in core.world.users.values()
                if one.enterprise_id == enterprise.id and one.is_org_admin and not one.deleted
            ),
        )
        for enterprise in core.world.enterprises.values()
    ]


def allow(core: Core, request: AuthorizeRequest, key: InstallKey, user_id: str) -> str:
    """A person presses Allow; the address their browser is sent to, with a code and the state.

    Raises :class:`AuthorizeError` when that person may not allow it there.
    """
    with core.lock:
        place = next((one for one in places(core, request) if one.key == key), None)
        if place is None:
            raise AuthorizeError("invalid_team", "This workspace is not offered")
        if all(one.id != user_id for one in place.people):
            raise AuthorizeError("not_allowed", "You are not allowed to install this app here")
        code = Code(
            f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(32)}",
            key,
            user_id,
            request.bot_scopes,
            request.user_scopes,
            request.sent_redirect_uri,
            core.clock(),
        )
        core.codes[code.value] = code
    return _with_query(request.redirect_uri, code=code.value, state=request.state)


def cancel(request: AuthorizeRequest) -> str:
    """A person presses Cancel; the address their browser is sent to."""
    return _with_query(request.redirect_uri, error="access_denied", state=request.state)


def direct_install(core: Core, user_id: str, team_id: str) -> str:
    """An install from Slack's directory: the callback address, with a code and no state."""
    config = core.config
    query = {
        "client_id": config.client_id,
        "scope": ",".join(config.bot_scopes),
        "user_scope": ",".join(config.user_scopes),
    }
    request = read_request(config, query)
    return allow(core, request, core.key_for(team_id), user_id)


def check_client(config: AppConfig, client_id: str | None, client_secret: str | None) -> None:
    """Raise ``invalid_client_id`` or ``bad_client_secret`` unless they are the app's."""
    if client_id != config.client_id:
        raise ApiError("invalid_client_id")
    if not hmac.compare_digest((client_secret or "").encode(), config.client_secret.encode()):
        raise ApiError("bad_client_secret")


def redeem(core: Core, value: str | None, redirect_uri: str | None) -> Code:
    """Use a code up. Raises the :class:`ApiError` of ``oauth.v2.access`` when it is no good."""
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


def user_of(core: Core, user_id: str) -> User:
    """A person. Raises AuthorizeError for an id nobody has."""
    try:
        return core.get_user(user_id)
    except NotFoundError as error:
        raise AuthorizeError("user_not_found", str(error)) from None


def _may(user: User, request: AuthorizeRequest) -> bool:
    if user.deleted or user.is_bot:
        return False
    # Guests may sign in and grant nothing but their own data; they may not bring in a bot.
    return not (request.bot_scopes and (user.is_restricted or user.is_ultra_restricted))


def _scopes(text: str, known: Mapping[str, str]) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(one for one in text.split(",") if one))
    unknown = [one for one in scopes if one not in known]
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
    if any(_is_under(target, urlsplit(one)) for one in config.redirect_urls):
        if target.scheme == "https" or _is_loopback(target.hostname or ""):
            return sent
        raise AuthorizeError("bad_redirect_uri", "A redirect URL must use https")
    raise AuthorizeError(
        "bad_redirect_uri",
        f"redirect_uri did not match any configured URIs. Passed URI: {sent}",
    )


def _is_under(target: SplitResult, configured: SplitResult) -> bool:
    """Slack takes a configured address and anything below its path."""
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
