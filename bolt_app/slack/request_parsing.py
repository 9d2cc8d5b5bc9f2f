"""Parsing of verified requests from Slack, without characters that cannot be stored.

A body is JSON (events), a form (commands), or a form whose `payload` is JSON (interactions):
https://docs.slack.dev/interactivity/handling-user-interaction#payloads
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from slack_bolt import BoltRequest

from bolt_app.blockkit.signed_values import ValueSigner
from bolt_app.slack.errors import MalformedRequestError
from bolt_app.slack.request_workspace import with_workspace

# Slack's own payloads nest some twenty levels deep.
MAX_DEPTH = 100
MAX_FORM_FIELDS = 100
_INTEGERS = range(-(2**63), 2**63)


def parse_request(body: bytes, signer: ValueSigner) -> BoltRequest:
    """Return a verified body as a Bolt request in the workspace it is about.

    NUL characters are removed and lone surrogates replaced, because PostgreSQL and UTF-8 reject
    them. Headers are left out: Slack signs only the body, so a header proves nothing.

    Raises:
        MalformedRequestError: the body has no form that Slack sends.
    """
    try:
        document = _clean(_parse(body.decode("utf-8")), MAX_DEPTH)
        if not isinstance(document, dict):
            raise MalformedRequestError
        document = with_workspace(document, signer)
        # In Bolt's other mode it takes only text and parses it again. For a verified request the
        # modes are otherwise the same.
        return BoltRequest(body=document, mode="socket_mode")
    except (ValueError, RecursionError, TypeError, AttributeError, LookupError):
        # Bolt looks up workspace and person while it creates the request, and trusts its form.
        raise MalformedRequestError from None


def _parse(text: str) -> Any:
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    form = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS))
    return _parse_json(form["payload"]) if "payload" in form else form


def _parse_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _clean(value: Any, depth: int) -> Any:
    """Return a value without NUL characters and lone surrogates.

    Raises:
        ValueError: the value is nested too deeply, or a number is out of range.
    """
    match value:
        case str():
            return _clean_text(value)
        case bool() | None:
            return value
        case int():
            if value not in _INTEGERS:
                raise ValueError("a number is out of range")
        case float():
            if not math.isfinite(value):
                raise ValueError("a number is out of range")
        case list() | dict() if depth == 0:
            raise ValueError("the body is nested too deeply")
        case list():
            return [_clean(item, depth - 1) for item in value]
        case dict():
            return {_clean_text(key): _clean(item, depth - 1) for key, item in value.items()}
    return value


def _clean_text(text: str) -> str:
    if text.isascii():
        return text.replace("\0", "")
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
