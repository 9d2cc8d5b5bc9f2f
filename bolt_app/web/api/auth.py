"""Who calls the HTTP API: the key in `Authorization: Bearer …` (RFC 6750)."""

from __future__ import annotations

from typing import Final

from flask import request

from bolt_app.credentials.api_keys import ApiKeyRecord, Scope
from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.db.audit import AuditAction
from bolt_app.guesses import TooManyGuessesError
from bolt_app.services import Services
from bolt_app.web.api.problems import ApiError
from bolt_app.workspaces.client import NotInstalledError

_REALM: Final = 'Bearer realm="Bellhop"'


def require_caller(services: Services, scope: Scope) -> ApiKeyRecord:
    """Return the key this request came with, and charge it for the request.

    Raises:
        ApiError: the key is missing, unknown, expired or revoked (401), its workspace has
            uninstalled Bellhop or it lacks `scope` (403), or too many requests came (429).
    """
    key = _check(services, _find(services, is_fresh=True), scope)
    charge_request(services, key)
    return key


def require_sender(services: Services) -> ApiKeyRecord:
    """Return the key of somebody who sends, though it may have been revoked since it was read.

    Acceptance looks again, in its transaction, and charges the key. Where it is revoked or over a
    limit, `revoked` and `over_limit` are the errors. One that was over a limit a moment ago is
    refused here, before the body is read.

    Raises:
        ApiError: as with `require_caller`.
    """
    key = _check(services, _find(services, is_fresh=False), "send")
    try:
        services.sender_limits.check(key.credential)
    except LimitError as error:
        services.sender_limits.reject(key.credential, error)
        raise over_limit(error) from None
    return key


def charge_request(
    services: Services, key: ApiKeyRecord, *, requests: int = 1, deliveries: int = 0
) -> None:
    """Charge a key for a request that accepts nothing.

    Args:
        deliveries: those that it lets begin again.

    Raises:
        ApiError: the key is revoked (401) or over its limit (429).
    """
    try:
        services.sender_limits.charge_request(
            key.credential, requests=requests, deliveries=deliveries
        )
    except RevokedError:
        raise revoked(services, key) from None
    except LimitError as error:
        raise over_limit(error) from None


def revoked(services: Services, key: ApiKeyRecord) -> ApiError:
    """Return the error for a key that was revoked while it was used, and forget the key.

    The next request with it is refused before its body is read.
    """
    services.api_keys.forget(key.id)
    _count_rejected(services, key)
    return _useless("revoked")


def over_limit(error: LimitError | TooManyGuessesError) -> ApiError:
    """Return the error for what came too often."""
    return ApiError(429, str(error), headers={"Retry-After": str(error.retry_after)})


def _find(services: Services, *, is_fresh: bool) -> ApiKeyRecord | None:
    """Return the key; an address that has guessed too often may use only known, good ones.

    A revoked or expired key counts as a guess.

    Args:
        is_fresh: whether to look whether it was revoked since it was found first.
    """
    secret, keys = _bearer_token(), services.api_keys
    address = request.remote_addr
    try:
        if not _is_good(services, keys.remembered(secret)):
            services.guesses.check(address)
    except TooManyGuessesError as error:
        raise over_limit(error) from None
    found = keys.find(secret) if is_fresh else keys.remember(secret)
    if not _is_good(services, found):
        services.guesses.count(address)
    return found


def _is_good(services: Services, key: ApiKeyRecord | None) -> bool:
    return key is not None and key.state(services.clock()) == "active"


def _check(services: Services, key: ApiKeyRecord | None, scope: Scope) -> ApiKeyRecord:
    state = "unknown" if key is None else key.state(services.clock())
    if key is None or state != "active":
        _count_rejected(services, key)
        raise _useless(state)
    try:
        services.client.find_workspace(key.team_id)
    except NotInstalledError as error:
        raise ApiError(403, str(error)) from None
    if not key.may(scope):
        charge_request(services, key)
        raise ApiError(
            403,
            f"This API key may not {scope}: use one with the scope {scope}.",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )
    return key


def _count_rejected(services: Services, key: ApiKeyRecord | None) -> None:
    if key is None:
        services.audit.reject(AuditAction.API_KEY_REJECTED)
    else:
        services.audit.reject(
            AuditAction.API_KEY_REJECTED, team_id=key.team_id, credential=f"api_key:{key.id}"
        )


def _useless(state: str) -> ApiError:
    return ApiError(
        401,
        f"This API key is {state}: use another, made with `api-key create`.",
        headers={"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
    )


def _bearer_token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(
            401,
            "This needs an API key: send it as `Authorization: Bearer bh_…`.",
            headers={"WWW-Authenticate": _REALM},
        )
    return token.strip()
