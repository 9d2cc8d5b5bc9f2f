"""Characters that no query and no form of ours has, refused before a view reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flask import Flask, abort, request


def register_input_checks(app: Flask) -> None:
    """Refuse NUL characters, which PostgreSQL does not take, in queries and in people's forms.

    Views check what a path names: nothing has a name with such a character. The HTTP API names the
    field at fault instead, webhooks leave the characters out, and `/slack/events` does so once a
    request is verified.
    """

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
