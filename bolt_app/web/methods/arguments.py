"""Arguments of calls: from a query, a form or a JSON body.

https://docs.slack.dev/apis/web-api#basics
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import request
from pydantic_core import from_json

from bolt_app.charsets import CharsetError, decode
from bolt_app.notifications.content.webhook_format import PayloadError, storable
from bolt_app.web.methods.errors import MethodError, invalid_argument

_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})
TOKEN = "token"  # noqa: S105


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call, without its token. A form has texts only."""

    values: Mapping[str, Any] = field(repr=False)

    def has(self, name: str) -> bool:
        """Whether an argument is given, and not null."""
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """Return an argument as text; empty if it is missing. A list is joined by commas.

        Raises:
            MethodError: it is an object, or a list of anything but texts.
        """
        value = self.values.get(name)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return ",".join(value)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float):
            raise invalid_argument(f"must be a string [json-pointer:/{name}]")
        return str(value)

    def require_text(self, name: str) -> str:
        """Return a required argument as text.

        Raises:
            MethodError: it is missing, empty or no text.
        """
        value = self.text(name).strip()
        if not value:
            raise invalid_argument(f"missing required field: {name}")
        return value

    def ts(self, name: str) -> str:
        """Return the `ts` of a message, perhaps written as a number; empty if it is missing.

        A number has lost the zeros at its end: 1700000000.123400 arrives as 1700000000.1234.

        Raises:
            MethodError: it is a list or an object.
        """
        value = self.values.get(name)
        if isinstance(value, float):
            return f"{value:.6f}"
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{value}.000000"
        return self.text(name).strip()

    def require_ts(self, name: str) -> str:
        """Return the required `ts` of a message, perhaps written as a number.

        Raises:
            MethodError: it is missing, empty, a list or an object.
        """
        return self.ts(name) or self.require_text(name)

    def flag(self, name: str) -> bool:
        """Return a switch; false if it is missing.

        Raises:
            MethodError: it is neither.
        """
        value = self.text(name).strip().lower()
        if value not in _YES | _NO:
            raise invalid_argument(f"must be true or false [json-pointer:/{name}]")
        return value in _YES

    def number(self, name: str, default: int, *, most: int) -> int:
        """Return a number between 1 and `most`; missing and 0 mean the default.

        Raises:
            MethodError: it is not a number in that range.
        """
        value = self.text(name).strip()
        if value in ("", "0"):
            return default
        if not value.isascii() or not value.isdigit() or len(value) > 18 or int(value) > most:
            raise invalid_argument(f"must be between 1 and {most} [json-pointer:/{name}]")
        return int(value)

    def structure(self, name: str, code: str) -> Any:
        """Return a list or an object; forms have it as JSON.

        Raises:
            MethodError: it is not JSON; the error has this code.
        """
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return storable(from_json(value, allow_inf_nan=False))
        except (ValueError, PayloadError):
            raise MethodError(code) from None


@dataclass(frozen=True)
class UncheckedArguments:
    """The arguments of a call as they were sent, and the token among them, or an empty text."""

    values: Mapping[str, Any] = field(repr=False)
    token: str = field(repr=False)

    def checked(self) -> Arguments:
        """Return the arguments without parts that cannot be stored.

        This takes many times as long as parsing: a token is checked first.

        Raises:
            MethodError: they are nested too deep.
        """
        try:
            return Arguments(storable(self.values))
        except PayloadError:
            raise MethodError("invalid_arguments") from None


def read_arguments() -> UncheckedArguments:
    """Return the arguments of the request.

    A token in the query is ignored, as by Slack, because URLs are logged.

    Raises:
        MethodError: the body is malformed.
    """
    query = {name: value for name, value in request.args.items() if name != TOKEN}
    body = {} if request.method == "GET" else _body()
    token = body.pop(TOKEN, "")
    return UncheckedArguments({**query, **body}, token.strip() if isinstance(token, str) else "")


def _body() -> dict[str, Any]:
    kind = request.mimetype
    if kind in _FORMS:
        return dict(request.form.items())
    raw = request.get_data(cache=False)
    if not raw.strip():
        return {}
    if kind != "application/json":
        raise MethodError("invalid_post_type" if kind else "missing_post_type")
    try:
        document = json.loads(decode(raw, request.mimetype_params.get("charset")))
    except CharsetError:
        raise MethodError("invalid_charset") from None
    except (ValueError, RecursionError):
        raise MethodError("invalid_json") from None
    if not isinstance(document, dict):
        raise MethodError("json_not_object")
    return document
