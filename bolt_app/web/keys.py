"""API keys of requests: the limit of wrong ones, and the audit log of rejected ones."""

from __future__ import annotations

from flask import request

from bolt_app.credentials.api_keys import ApiKeyRecord, ApiKeyState
from bolt_app.db.audit import AuditAction
from bolt_app.services import Services


def find_key(services: Services, secret: str, *, is_fresh: bool) -> ApiKeyRecord | None:
    """Return the key; after too many guesses, an address may use only known active keys.

    A revoked or expired key counts as a guess.

    Args:
        is_fresh: whether to read from the database whether the key was revoked.

    Raises:
        TooManyGuessesError: the address sent too many wrong keys.
    """
    keys, address = services.api_keys, request.remote_addr
    if not is_active(services, keys.remembered(secret)):
        services.guesses.check(address)
    found = keys.find(secret) if is_fresh else keys.remember(secret)
    if not is_active(services, found):
        services.guesses.count(address)
    return found


def is_active(services: Services, key: ApiKeyRecord | None) -> bool:
    """Whether a key exists, has not expired and is not revoked."""
    return key is not None and key.state(services.clock()) == ApiKeyState.ACTIVE


def count_rejected(services: Services, key: ApiKeyRecord | None) -> None:
    """Count a rejected key, or an unknown one, in the audit log."""
    if key is None:
        services.audit.reject(AuditAction.API_KEY_REJECTED)
    else:
        services.audit.reject(
            AuditAction.API_KEY_REJECTED, team_id=key.team_id, credential=f"api_key:{key.id}"
        )
