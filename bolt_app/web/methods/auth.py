"""Authentication of the Slack-compatible Web API: an API key as the token.

https://docs.slack.dev/authentication/tokens, and the errors of
https://docs.slack.dev/reference/methods/auth.test.
"""

from __future__ import annotations

from flask import request

from bolt_app.credentials.api_keys import ApiKeyRecord, ApiKeyState, Scope
from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.guesses import TooManyGuessesError
from bolt_app.services import Services
from bolt_app.web.forms import URLENCODED
from bolt_app.web.keys import count_rejected, find_key
from bolt_app.web.methods.arguments import UncheckedArguments, read_arguments
from bolt_app.web.methods.errors import MethodError, OverloadError

# Of a body that is read before its token: a text of 40,000 characters as a form. In other bodies,
# such as multipart forms, a header can take ten times as long as other bytes.
UNVERIFIED_BYTES, OTHER_UNVERIFIED_BYTES = 128 * 1024, 32 * 1024
_LARGER = frozenset({"application/json", URLENCODED})

_CODES = {"unknown": "invalid_auth", "revoked": "token_revoked", "expired": "token_expired"}


def bearer_token() -> str:
    """Return the token of the header `Authorization`, or an empty text."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def read_unverified(services: Services) -> UncheckedArguments:
    """Return the arguments of a call without a token in its header, perhaps with one among them.

    A body without a token counts as a wrong key, because reading it takes as long.

    Raises:
        MethodError: the body is malformed.
        OverloadError: the address sent too many wrong keys; the body is not read.
        RequestEntityTooLarge: the body is too large for one that is read before its token.
    """
    try:
        services.guesses.check(request.remote_addr)
    except TooManyGuessesError as error:
        raise OverloadError(error.retry_after) from None
    is_larger = request.mimetype in _LARGER
    request.max_content_length = UNVERIFIED_BYTES if is_larger else OTHER_UNVERIFIED_BYTES
    token = ""
    try:
        given = read_arguments()
        token = given.token
    finally:
        if not token and request.method != "GET" and request.content_length != 0:
            services.guesses.count(request.remote_addr)
    return given


def require_key(
    services: Services, token: str, scope: Scope | None, *, is_fresh: bool
) -> ApiKeyRecord:
    """Return the key of a call.

    Args:
        scope: that the key must have; None: any key may call.
        is_fresh: whether to read from the database whether the key was revoked; otherwise the
            transaction of the call checks that.

    Raises:
        MethodError: the key is missing, unknown, expired or revoked, or it lacks the scope.
        NotInstalledError: its workspace has no bot.
        OverloadError: the address sent too many wrong keys, or the key is over a limit.
    """
    if not token:
        raise MethodError("not_authed", is_charged=True)
    try:
        key = find_key(services, token, is_fresh=is_fresh)
    except TooManyGuessesError as error:
        raise OverloadError(error.retry_after) from None
    state = "unknown" if key is None else key.state(services.clock())
    if key is None or state != ApiKeyState.ACTIVE:
        count_rejected(services, key)
        raise MethodError(_CODES[state], is_charged=True)
    _check_limits(services, key)
    services.client.find_workspace(key.team_id)
    if scope is not None and not key.may(scope):
        charge(services, key)
        given = ",".join(sorted(key.scopes))
        raise MethodError("missing_scope", is_charged=True, needed=scope, provided=given)
    return key


def charge(services: Services, key: ApiKeyRecord) -> None:
    """Charge a key for a call that changes nothing in the database, once its body has been read.

    Raises:
        MethodError: the key is revoked or has expired.
        NotInstalledError: its workspace has no bot.
        OverloadError: it is over its limit.
    """
    try:
        services.sender_limits.charge_request(key.credential)
    except RevokedError:
        raise invalidated(services, key) from None
    except LimitError as error:
        raise OverloadError(error.retry_after) from None


def invalidated(services: Services, key: ApiKeyRecord) -> MethodError:
    """Return the error for a key that became invalid during its call, and forget the key."""
    services.api_keys.forget(key.id)
    count_rejected(services, key)
    is_expired = key.state(services.clock()) == ApiKeyState.EXPIRED
    return MethodError(_CODES["expired" if is_expired else "revoked"], is_charged=True)


def _check_limits(services: Services, key: ApiKeyRecord) -> None:
    """Reject a key that was just over a limit, before its call is read."""
    try:
        services.sender_limits.check(key.credential)
    except LimitError as error:
        services.sender_limits.reject(key.credential, error)
        raise OverloadError(error.retry_after) from None
