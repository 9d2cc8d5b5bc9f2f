"""Validation errors of notifications: the fields at fault, each with a fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bolt_app.credentials.sources import SOURCE_LENGTH, SOURCE_PATTERN
from bolt_app.notifications.content.ids import ID_PATTERN
from bolt_app.notifications.content.schema import (
    TS_PATTERN,
    Escalation,
    MessageField,
    NotificationRequest,
)
from bolt_app.text_forms import comparable

# The most problems that are reported.
MOST_PROBLEMS = 20
# The most characters of an unknown field's name that are shown and compared.
LONGEST_NAME = 100

_Words = Callable[[Mapping[str, Any]], str]
# By the names at https://docs.pydantic.dev/latest/errors/validation_errors/
_WORDS: Mapping[str, _Words] = {
    "missing": lambda _: "is required",
    "string_too_long": lambda ctx: f"is longer than {ctx['max_length']:,} characters: shorten it",
    "string_too_short": lambda _: "is empty: give a value, or leave it out",
    "too_long": lambda ctx: (
        f"has {ctx['actual_length'] or 'too many'} items; the limit is {ctx['max_length']}"
    ),
    "too_short": lambda _: "is empty: give at least one item",
    "enum": lambda ctx: f"must be {ctx['expected']}",
    "literal_error": lambda ctx: f"must be {ctx['expected']}",
    "string_type": lambda _: "must be text",
    "dict_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "list_type": lambda _: "must be a list",
    "url_too_long": lambda ctx: f"is longer than {ctx['max_length']:,} characters: shorten it",
    "url_parsing": lambda _: "is not a URL: begin it with https:// or http://",
    "url_scheme": lambda _: "is not a URL: begin it with https:// or http://",
    "greater_than_equal": lambda ctx: f"is too small: the minimum is {ctx['ge']:g}",
    "less_than_equal": lambda ctx: f"is too large: the maximum is {ctx['le']:,}",
    "finite_number": lambda _: "must be a number",
    "timezone_aware": lambda _: "has no time zone: end it with Z, or with an offset like +02:00",
    "string_pattern_mismatch": lambda ctx: _FORMS.get(
        ctx["pattern"], f"must match {ctx['pattern']}"
    ),
    "value_error": lambda ctx: str(ctx["error"]),
}
_FORMS: Mapping[str, str] = {
    ID_PATTERN: "is not the id of a notification, which has 32 digits and letters from a to f",
    SOURCE_PATTERN: f"is not a source: use up to {SOURCE_LENGTH} letters, digits and - _ . :",
    TS_PATTERN: "is not the ts of a message, which looks like 1712345678.123456",
}
_FIELDS = tuple(
    name for model in (NotificationRequest, MessageField, Escalation) for name in model.model_fields
)
_MOMENT = "is not an ISO 8601 date and time: write it like 2026-01-31T09:30:00Z"


@dataclass(frozen=True)
class FieldProblem:
    """A problem of one field, with its fix; the field is a path such as `fields[2].value`."""

    field: str
    detail: str = dataclasses.field(repr=False)


def problems_of(error: ValidationError, *, within: str = "") -> list[FieldProblem]:
    """Return the problems, up to one more than `MOST_PROBLEMS`.

    Args:
        within: the path of the notifications in the request.
    """
    problems = (
        problem
        for details in error.errors(include_url=False, include_input=False)
        for problem in _problems(details, within)
    )
    return list(islice(problems, MOST_PROBLEMS + 1))


def _problems(error: ErrorDetails, within: str) -> Iterator[FieldProblem]:
    path = _path(within, error["loc"])
    ctx = error.get("ctx", {})
    if error["type"] == "contradiction":
        for field, detail in ctx["problems"]:
            yield FieldProblem(_path(path, (field,)), detail)
        return
    yield FieldProblem(path, _detail(error, ctx))


def _detail(error: ErrorDetails, ctx: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_field(str(error["loc"][-1])[:LONGEST_NAME])
    if kind.startswith("datetime"):
        return _MOMENT
    describe = _WORDS.get(kind)
    return error["msg"] if describe is None else describe(ctx)


def _unknown_field(name: str) -> str:
    near = get_close_matches(comparable(name), _FIELDS, 1)
    return f"is an unknown field; did you mean {near[0]}?" if near else "is an unknown field"


def _path(before: str, location: tuple[int | str, ...]) -> str:
    path = before
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step[:LONGEST_NAME]
            path += f".{name}" if path else name
    return path
