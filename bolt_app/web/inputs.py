"""Sizes and characters that no query and no form of ours has, refused before a view reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flask import Flask, abort, request

# The largest form of a page names a channel and carries the token that guards it.
MAX_FORM_BYTES = 16 * 1024


def register_input_checks(app: Flask) -> None:
    """Refuse large forms of people with 413, for parsing comes before the session is checked.

    Refuse NUL characters, which PostgreSQL does not take, in queries and in people's forms.

    Views check what a path names: nothing has a name with such a character. The HTTP API names the
    field at fault instead, webhooks leave the characters out, and `/slack/events` does so once a
    request is verified.
    """

    @app.before_request
    def bound_forms() -> None:
        if request.blueprint == "pages":
            request.max_content_length = MAX_FORM_BYTES

    @app.before_request
    def refuse_nul() -> None:
        if request.blueprint != "api" and any("\0" in text for text in _texts()):
            abort(400)


def _texts() -> Iterator[str]:
    if request.query_string:
        yield from _flat(request.args.items(multi=True))
    if request.blueprint == "pages":
        yield from _flat(request.form.items(multi=True))


def _flat(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in items:
        yield name
        yield value
