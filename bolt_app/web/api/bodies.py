"""Bodies of requests to the HTTP API: JSON, declared as such."""

from __future__ import annotations

from typing import Any

from flask import request
from pydantic_core import from_json

from bolt_app.charsets import CharsetError, UnknownCharsetError, decode
from bolt_app.web.api.problems import ApiError


def read_body() -> Any:
    """Return the JSON in the body of the request.

    Raises:
        ApiError: it is not declared as JSON (415), or is not JSON (400).
    """
    if not _is_json(request.mimetype):
        raise ApiError(415, "Send JSON with the header `Content-Type: application/json`.")
    try:
        body = decode(request.get_data(cache=False), request.mimetype_params.get("charset"))
        return from_json(body, allow_inf_nan=False)
    except UnknownCharsetError as error:
        raise ApiError(415, str(error)) from None
    except CharsetError as error:
        raise ApiError(400, str(error)) from None
    except ValueError as error:
        raise ApiError(400, f"The body is not JSON: {error}.") from None


def _is_json(mimetype: str) -> bool:
    return mimetype == "application/json" or mimetype.endswith("+json")
