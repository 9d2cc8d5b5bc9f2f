"""Dispatch of Web API calls: parsing, faults, authorization, rate limits and responses.

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
from slack_sandbox.faults import FAULTS_AFTER_CALL, Fault
from slack_sandbox.tokens import Token
from slack_sandbox.web_api import METHODS
from slack_sandbox.web_api.call import Call, missing_scope
from slack_sandbox.web_api.registry import Method
from slack_sandbox.world import JsonDict

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class ApiRequest:
    """An HTTP request to the Web API, independent of any web framework."""

    verb: str
    content_type: str
    authorization: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class ApiAnswer:
    """The response. ``dropped``: close the connection without a response."""

    status: int
    body: JsonDict | None
    headers: Mapping[str, str] = field(default_factory=dict)
    html: str | None = None
    dropped: Literal["closed", "reset"] | None = None


@dataclass(frozen=True)
class _ParsedRequest:
    arguments: Mapping[str, Any]
    token: str | None
    basic: tuple[str, str] | None
    warnings: tuple[str, ...] = ()


def dispatch(core: Core, name: str, request: ApiRequest) -> ApiAnswer:
    """Execute a call with the active faults, and log it."""
    parsed, refused = _parse(METHODS.get(name), request)
    at = core.clock()
    response = _answer(core, name, parsed, refused)
    core.call_log.add(
        ApiCall(name, parsed.token, dict(parsed.arguments), at, response.body, response.status)
    )
    return response


def apply_faults(core: Core, faults: list[Fault]) -> ApiAnswer | None:
    """Apply the faults of a call: wait, and return the response that replaces its own, if any."""
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
            return _api_error(fault)
    return None


def replace_response(faults: list[Fault], response: ApiAnswer) -> ApiAnswer:
    """The response to an executed call, dropped or replaced if a fault requires it."""
    for fault in faults:
        if fault.kind == "api_error_after":
            return _api_error(fault)
        if fault.kind in FAULTS_AFTER_CALL:
            return ApiAnswer(0, None, dropped="reset" if fault.kind == "reset_after" else "closed")
    return response


def rate_limited(retry_after: int) -> ApiAnswer:
    """HTTP 429 in Slack's format."""
    headers = {"Retry-After": str(retry_after)}
    return ApiAnswer(429, {"ok": False, "error": "ratelimited"}, headers)


def _api_error(fault: Fault) -> ApiAnswer:
    return ApiAnswer(200, {"ok": False, "error": fault.error})


def _answer(core: Core, name: str, parsed: _ParsedRequest, refused: ApiError | None) -> ApiAnswer:
    faults = core.faults.take(name)
    instead = apply_faults(core, faults)
    if instead is not None:
        return instead
    return replace_response(faults, _call_method(core, name, parsed, refused))


def _call_method(
    core: Core, name: str, parsed: _ParsedRequest, refused: ApiError | None
) -> ApiAnswer:
    method = METHODS.get(name)
    if method is None:
        return ApiAnswer(200, {"ok": False, "error": "unknown_method", "req_method": name})
    headers: dict[str, str] = {}
    try:
        if refused is not None:
            raise refused
        with core.lock:
            body = _authorized(core, method, parsed, headers)
    except RateLimitedError as error:
        return rate_limited(error.retry_after)
    except ApiError as error:
        body = _with_warnings(error.as_answer(), parsed.warnings)
    return ApiAnswer(200, body, headers)


def _authorized(
    core: Core, method: Method, parsed: _ParsedRequest, headers: dict[str, str]
) -> JsonDict:
    token = core.tokens.check(parsed.token, core.clock()) if method.needs_token else None
    owner = token.key.owner if token else core.config.client_id
    core.limits.spend_call(method.name, method.tier, owner)
    if token is not None:
        headers["x-oauth-scopes"] = ",".join(token.scopes)
        headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
        _check_scopes(method, token)
    call = Call(core, parsed.arguments, token, parsed.basic)
    body = method.handler(call)
    return _with_warnings(body, (*parsed.warnings, *call.warnings))


def _check_scopes(method: Method, token: Token) -> None:
    if method.scopes and not set(method.scopes) & set(token.scopes):
        raise missing_scope(token, method.scopes)


def _with_warnings(body: JsonDict, warnings: tuple[str, ...]) -> JsonDict:
    if not warnings:
        return body
    metadata = {**body.get("response_metadata", {}), "warnings": list(warnings)}
    return {**body, "warning": ",".join(warnings), "response_metadata": metadata}


def _parse(method: Method | None, request: ApiRequest) -> tuple[_ParsedRequest, ApiError | None]:
    """The arguments and the token, and the error in the format of the request, if any."""
    kind, _, parameters = request.content_type.partition(";")
    kind = kind.strip().lower()
    bearer, basic = _authorization(request.authorization)
    if request.verb == "GET":
        # Slack rejects tokens in the query string for apps created since 2021.
        arguments = {name: value for name, value in request.query.items() if name != "token"}
        return _ParsedRequest(arguments, bearer, basic), None
    if kind in FORM_TYPES:
        arguments = {**request.query, **request.form}
        token = bearer or request.form.get("token")
        warnings = ("superfluous_charset",) if _names_charset(parameters) else ()
        return _ParsedRequest(arguments, token, basic, warnings), None
    if kind == JSON_TYPE:
        warnings = () if _names_charset(parameters) else ("missing_charset",)
        return _parse_json(
            method, request, _ParsedRequest(dict(request.query), bearer, basic, warnings)
        )
    empty = _ParsedRequest(dict(request.query), bearer, basic)
    if not request.body:
        return empty, None
    return empty, ApiError("invalid_post_type" if kind else "missing_post_type")


def _parse_json(
    method: Method | None, request: ApiRequest, parsed: _ParsedRequest
) -> tuple[_ParsedRequest, ApiError | None]:
    # Slack ignores a JSON body sent to a method that accepts only forms.
    if method is None or not method.takes_json or not request.body:
        return parsed, None
    try:
        body = json.loads(request.body)
    except ValueError:
        return parsed, ApiError("invalid_json")
    if not isinstance(body, dict):
        return parsed, ApiError("json_not_object")
    return _ParsedRequest(
        {**parsed.arguments, **body}, parsed.token, parsed.basic, parsed.warnings
    ), None


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
