"""Errors of the HTTP API: problem+json (RFC 9457) with every invalid field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flask import Response

from bolt_app.notifications.content.errors import MOST_PROBLEMS, FieldProblem
from bolt_app.web.errors import problem


class ApiError(Exception):
    """A rejected request.

    Attributes:
        status: the HTTP status.
        detail: the reason, and how to fix it.
        fields: the invalid fields.
        headers: additional headers of the response.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        fields: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields
        self.headers = headers or {}


def invalid(fields: Sequence[FieldProblem]) -> ApiError:
    """Return the error for invalid fields; lists only the first of many."""
    count = "One field is" if len(fields) == 1 else f"{len(fields)} fields are"
    if len(fields) > MOST_PROBLEMS:
        count = f"More than {MOST_PROBLEMS} fields are"
    return ApiError(422, f"{count} invalid: see errors.", fields=fields[:MOST_PROBLEMS])


def error_response(error: ApiError) -> Response:
    """Return the response to a rejected request."""
    members = {"errors": [asdict(field) for field in error.fields]} if error.fields else {}
    response = problem(error.status, error.detail, **members)
    response.headers.update(error.headers)
    return response
