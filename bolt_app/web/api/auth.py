"""Authentication of the HTTP API: the key in `Authorization: Bearer …` (RFC 6750)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from bolt_app.credentials.api_keys import ApiKeyRecord, ApiKeyState, Scope
from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.guesses import TooManyGuessesError
from bolt_app.services import Services
from bolt_app.web.api.problems import ApiError
from bolt_app.web.keys import count_rejected, find_key

_REALM: Final = 'Bearer realm="Bellhop"'


def require_caller(services: Services, scope: Scope) -> ApiKeyRecord:
    """Return the key of a request without a body, and charge the request to it.

    Raises:
        ApiError: the key is missing, unknown, expired or revoked (401), it lacks `scope` (403), or
            it is over a limit (429).
        NotInstalledError: its workspace has uninstalled Bellhop.
    """
    key = _check(services, _find(services, is_fresh=True), scope)
    _charge_request(services, key)
    return key


def require_sender(services: Services, scope: Scope = Scope.SEND) -> ApiKeyRecord:
    """Return the key of a request with a body, which is not read yet.

    The key may have been revoked since it was read, or will be while the body is read. The
    transaction of the request's effect charges it, and so checks it again: do all that follows in
    `charged_by_transaction`. A key that was just over a limit is rejected here.

    Raises:
        ApiError, NotInstalledError: see `require_caller`.
    """
    key = _check(services, _find(services, is_fresh=False), scope)
    try:
        services.sender_limits.check(key.credential)
    except LimitError as error:
        services.sender_limits.reject(key.credential, error)
        raise _over_limit(error) from None
    return key


@contextmanager
def charged_by_transaction(services: Services, key: ApiKeyRecord) -> Iterator[None]:
    """Translate the errors of a transaction that charges a key; charge a rejected request too.

    Raises:
        ApiError: the key was revoked or has expired meanwhile (401), or is over its limit (429).
    """
    try:
        yield
    except RevokedError:
        raise _invalidated(services, key) from None
    except LimitError as error:
        raise _over_limit(error) from None
    except (ApiError, RequestEntityTooLarge):
        _charge_request(services, key)
        raise


def _charge_request(services: Services, key: ApiKeyRecord) -> None:
    """Charge a key for a request that changes nothing.

    Raises:
        ApiError: see `charged_by_transaction`.
    """
    with charged_by_transaction(services, key):
        services.sender_limits.charge_request(key.credential)


def _invalidated(services: Services, key: ApiKeyRecord) -> ApiError:
    """Return the error for a key that became invalid during its request, and forget the key.

    The next request with it is rejected before its body is read.
    """
    services.api_keys.forget(key.id)
    count_rejected(services, key)
    is_expired = key.state(services.clock()) == ApiKeyState.EXPIRED
    return _invalid_key(ApiKeyState.EXPIRED if is_expired else ApiKeyState.REVOKED)


def _over_limit(error: LimitError | TooManyGuessesError) -> ApiError:
    return ApiError(429, str(error), headers={"Retry-After": str(error.retry_after)})


def _find(services: Services, *, is_fresh: bool) -> ApiKeyRecord | None:
    try:
        return find_key(services, _bearer_token(), is_fresh=is_fresh)
    except TooManyGuessesError as error:
        raise _over_limit(error) from None


def _check(services: Services, key: ApiKeyRecord | None, scope: Scope) -> ApiKeyRecord:
    state = "unknown" if key is None else key.state(services.clock())
    if key is None or state != ApiKeyState.ACTIVE:
        count_rejected(services, key)
        raise _invalid_key(state)
    services.client.find_workspace(key.team_id)
    if not key.may(scope):
        _charge_request(services, key)
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
