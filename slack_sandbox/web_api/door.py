"""The door of the Web API: reads a call, lets it in or not, and words the answer.

See https://docs.slack.dev/apis/web-api.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slack_sandbox.calls import ApiCall
from slack_sandbox.core import Core
from slack_sandbox.errors import ApiError, RateLimitedError
from slack_sandbox.faults import AFTERWARDS, Fault
from slack_sandbox.tokens import Token
from slack_sandbox.web_api import METHODS
from slack_sandbox.web_api.call import Call, missing_scope
from slack_sandbox.web_api.registry import Method
from slack_sandbox.world import JsonDict

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class ApiRequest:
    """An HTTP request to the Web API, free of any web framework."""

    verb: str
    content_type: str
    authorization: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class ApiAnswer:
    """What goes back. ``dropped``: the connection is ended without an answer."""

    status: int
    body: JsonDict | None
    headers: Mapping[str, str] = field(default_factory=dict)
    html: str | None = None
    dropped: Literal["closed", "reset"] | None = None


@dataclass(frozen=True)
class _Read:
    arguments: Mapping[str, Any]
    token: str | None
    basic: tuple[str, str] | None
    warnings: tuple[str, ...] = ()


def answer(core: Core, name: str, request: ApiRequest) -> ApiAnswer:
    """Carry out a call, with the faults that are switched on, and record it."""
    read, refused = _read(METHODS.get(name), request)
    at = core.clock()
    given = _carry_out(core, name, read, refused)
    core.call_log.add(ApiCall(name, read.token, dict(read.arguments), at, given.body, given.status))
    return given


def hit_by(core: Core, faults: list[Fault]) -> ApiAnswer | None:
    """Suffer the faults of a call: wait, and give the answer that goes out instead, if any."""
    for fault in faults:
        if fault.kind == "latency":
            core.faults.wait(fault.seconds)
        elif fault.kind == "timeout":
            core.faults.wait(fault.seconds)
            return ApiAnswer(0, None, dropped="closed")
        elif fault.kind == "reset":
            return ApiAnswer(0, None, dropped="reset")
        elif fault.kind == "rate_limited":
            return rate_limited(fault.retry_after)
        elif fault.kind == "server_error":
            page = "<html><body><h1>Server Error</h1></body></html>"
            return ApiAnswer(fault.status, None, html=page)
        elif fault.kind == "api_error":
            return ApiAnswer(200, {"ok": False, "error": fault.error})
    return None


def lost_after(faults: list[Fault], given: ApiAnswer) -> ApiAnswer:
    """What becomes of the answer to a call that has been carried out."""
    for fault in faults:
        if fault.kind in AFTERWARDS:
            return ApiAnswer(0, None, dropped="reset" if fault.kind == "reset_after" else "closed")
    return given


def rate_limited(retry_after: int) -> ApiAnswer:
    """HTTP 429 as Slack words it."""
    headers = {"Retry-After": str(retry_after)}
    return ApiAnswer(429, {"ok": False, "error": "ratelimited"}, headers)


def _carry_out(core: Core, name: str, read: _Read, refused: ApiError | None) -> ApiAnswer:
    faults = core.faults.take(name)
    instead = hit_by(core, faults)
    if instead is not None:
        return instead
    return lost_after(faults, _called(core, name, read, refused))


def _called(core: Core, name: str, read: _Read, refused: ApiError | None) -> ApiAnswer:
    method = METHODS.get(name)
    if method is None:
        return ApiAnswer(200, {"ok": False, "error": "unknown_method", "req_method": name})
    headers: dict[str, str] = {}
    try:
        if refused is not None:
            raise refused
        with core.lock:
            body = _let_in(core, method, read, headers)
    except RateLimitedError as error:
        return rate_limited(error.retry_after)
    except ApiError as error:
        body = _with_warnings(error.as_answer(), read.warnings)
    return ApiAnswer(200, body, headers)


def _let_in(core: Core, method: Method, read: _Read, headers: dict[str, str]) -> JsonDict:
    token = core.tokens.check(read.token, core.clock()) if method.needs_token else None
    owner = token.key.owner if token else core.config.client_id
    core.limits.spend_call(method.name, method.tier, owner)
    if token is not None:
        headers["x-oauth-scopes"] = ",".join(token.scopes)
        headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
        _check_scopes(method, token)
    call = Call(core, read.arguments, token, read.basic)
    body = method.handler(call)
    return _with_warnings(body, (*read.warnings, *call.warnings))


def _check_scopes(method: Method, token: Token) -> None:
    if method.scopes and not set(method.scopes) & set(token.scopes):
        raise missing_scope(token, method.scopes)


def _with_warnings(body: JsonDict, warnings: tuple[str, ...]) -> JsonDict:
    if not warnings:
        return body
    metadata = {**body.get("response_metadata", {}), "warnings": list(warnings)}
    return {**body, "warning": ",".join(warnings), "response_metadata": metadata}


def _read(method: Method | None, request: ApiRequest) -> tuple[_Read, ApiError | None]:
    """The arguments and the token, and what is wrong with the way they were sent."""
    kind, _, parameters = request.content_type.partition(";")
    kind = kind.strip().lower()
    bearer, basic = _authorization(request.authorization)
    if request.verb == "GET":
        # A token in an address ends up in logs; Slack refuses it to apps made since 2021.
        arguments = {name: one for name, one in request.query.items() if name != "token"}
        return _Read(arguments, bearer, basic), None
    if kind in FORM_TYPES:
        arguments = {**request.query, **request.form}
        token = bearer or request.form.get("token")
        warnings = ("superfluous_charset",) if _names_charset(parameters) else ()
        return _Read(arguments, token, basic, warnings), None
    if kind == JSON_TYPE:
        warnings = () if _names_charset(parameters) else ("missing_charset",)
        return _read_json(method, request, _Read(dict(request.query), bearer, basic, warnings))
    empty = _Read(dict(request.query), bearer, basic)
    if not request.body:
        return empty, None
    return empty, ApiError("invalid_post_type" if kind else "missing_post_type")


def _read_json(
    method: Method | None, request: ApiRequest, read: _Read
) -> tuple[_Read, ApiError | None]:
    # Slack does not look into a JSON body sent to a method that takes forms only.
    if method is None or not method.takes_json or not request.body:
        return read, None
    try:
        parsed = json.loads(request.body)
    except ValueError:
        return read, ApiError("invalid_json")
    if not isinstance(parsed, dict):
        return read, ApiError("json_not_object")
    return _Read({**read.arguments, **parsed}, read.token, read.basic, read.warnings), None


def _names_charset(parameters: str) -> bool:
    return "charset=" in parameters.lower()


def _authorization(header: str) -> tuple[str | None, tuple[str, str] | None]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None, None
    if scheme.lower() != "basic":
        return None, None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return None, (name, secret)
