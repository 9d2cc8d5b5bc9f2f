"""Authentication of the HTTP API: the key in `Authorization: Bearer …` (RFC 6750)."""

from __future__ import annotations

from typing import Final

from flask import request

from bolt_app.credentials.api_keys import ApiKeyRecord, ApiKeyState, Scope
from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.guesses import TooManyGuessesError
from bolt_app.services import Services
from bolt_app.web.api.problems import ApiError
from bolt_app.web.keys import count_rejected, find_key
from bolt_app.workspaces.client import NotInstalledError

_REALM: Final = 'Bearer realm="Bellhop"'


def require_caller(services: Services, scope: Scope) -> ApiKeyRecord:
    """Return the key of the request, and charge the request to it.

    Raises:
        ApiError: the key is missing, unknown, expired or revoked (401), its workspace has
            uninstalled Bellhop or it lacks `scope` (403), or it is over a limit (429).
    """
    key = _check(services, _find(services, is_fresh=True), scope)
    charge_request(services, key)
    return key


def require_sender(services: Services) -> ApiKeyRecord:
    """Return the key of a sender, which may have been revoked since it was read.

    Intake reads the key again in its transaction and charges it. If it is revoked or over a limit,
    respond with `revoked` or `over_limit`. A key that was just over a limit is rejected here,
    before the body is read.

    Raises:
        ApiError: see `require_caller`.
    """
    key = _check(services, _find(services, is_fresh=False), Scope.SEND)
    try:
        services.sender_limits.check(key.credential)
    except LimitError as error:
        services.sender_limits.reject(key.credential, error)
        raise over_limit(error) from None
    return key


def charge_request(
    services: Services, key: ApiKeyRecord, *, requests: int = 1, deliveries: int = 0
) -> None:
    """Charge a key for a request that accepts no notification.

    Args:
        deliveries: the number of deliveries that the request retries.

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
    """Return the error for a key that was revoked during its request, and forget the key.

    The next request with it is rejected before its body is read.
    """
    services.api_keys.forget(key.id)
    count_rejected(services, key)
    return _invalid_key("revoked")


def over_limit(error: LimitError | TooManyGuessesError) -> ApiError:
    """Return the error for a key or an address over a limit."""
    return ApiError(429, str(error), headers={"Retry-After": str(error.retry_after)})


def _find(services: Services, *, is_fresh: bool) -> ApiKeyRecord | None:
    try:
        return find_key(services, _bearer_token(), is_fresh=is_fresh)
    except TooManyGuessesError as error:
        raise over_limit(error) from None


def _check(services: Services, key: ApiKeyRecord | None, scope: Scope) -> ApiKeyRecord:
    state = "unknown" if key is None else key.state(services.clock())
    if key is None or state != ApiKeyState.ACTIVE:
        count_rejected(services, key)
        raise _invalid_key(state)
    try:
        services.client.find_workspace(key.team_id)
    except NotInstalledError as error:
        raise ApiError(403, str(error)) from None
    if not key.may(scope):
        charge_request(services, key)
        raise ApiError(
            403,
            f"This API key does not have the scope {scope}.",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )
    return key


def _invalid_key(state: str) -> ApiError:
    return ApiError(
        401,
        f"This API key is {state}. Create another with `bellhop api-key create`.",
        headers={"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
    )


def _bearer_token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(
            401,
            "An API key is required. Send it as `Authorization: Bearer bh_…`.",
            headers={"WWW-Authenticate": _REALM},
        )
    return token.strip()
