"""Who calls the HTTP API: the key in `Authorization: Bearer …` (RFC 6750)."""

from __future__ import annotations

from typing import Final

from flask import request

from bolt_app.db.audit import AuditAction
from bolt_app.notifications.api_keys import KeyRecord, Scope
from bolt_app.services import Services
from bolt_app.web.api.problems import ApiError

_REALM: Final = 'Bearer realm="Bellhop"'


def require_caller(services: Services, scope: Scope) -> KeyRecord:
    """Return the key this request came with.

    Raises:
        ApiError: there is none (401), it is good for nothing (401), or lacks `scope` (403).
    """
    return _check(services, services.api_keys.find(_bearer_token()), scope)


def require_sender(services: Services) -> KeyRecord:
    """Return the key of somebody who sends, though it may have been revoked since it was read.

    Acceptance looks again, in its transaction, and where it was, `revoked` is the error.

    Raises:
        ApiError: as with `require_caller`.
    """
    return _check(services, services.api_keys.remember(_bearer_token()), "send")


def revoked(services: Services, key: KeyRecord) -> ApiError:
    """Return the error for a key that was revoked while it was used."""
    _count_rejected(services, key)
    return _useless("revoked")


def _check(services: Services, key: KeyRecord | None, scope: Scope) -> KeyRecord:
    state = "unknown" if key is None else key.state(services.clock())
    if key is None or state != "active":
        _count_rejected(services, key)
        raise _useless(state)
    if not key.may(scope):
        raise ApiError(
            403,
            f"This API key may not {scope}: use one with the scope {scope}.",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )
    return key


def _count_rejected(services: Services, key: KeyRecord | None) -> None:
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
