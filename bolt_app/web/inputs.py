"""Limits on the size and characters of queries and forms, checked before a view reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flask import Flask, abort, request

# The largest form of a page, by blueprint: a channel id and a CSRF token, or a template, of which a
# browser writes a character in up to twelve bytes.
MAX_FORM_BYTES: Mapping[str | None, int] = {"pages": 16 * 1024, "webhook_pages": 256 * 1024}


def register_input_checks(app: Flask) -> None:
    """Reject large forms with 413, because forms are parsed before the session is checked.

    Reject NUL characters, which PostgreSQL does not accept, in queries and forms.

    Views look up names in paths, and no name has such a character. The HTTP API reports the invalid
    field instead; webhooks, the Slack-compatible Web API and verified requests to `/slack/events`
    drop the characters.
    """

    @app.before_request
    def bound_forms() -> None:
        if request.blueprint in MAX_FORM_BYTES:
            request.max_content_length = MAX_FORM_BYTES[request.blueprint]

    @app.before_request
    def refuse_nul() -> None:
        if request.blueprint not in ("api", "methods") and any("\0" in text for text in _texts()):
            abort(400)


def _texts() -> Iterator[str]:
    if request.query_string:
        yield from _flat(request.args.items(multi=True))
    if request.blueprint in MAX_FORM_BYTES:
        yield from _flat(request.form.items(multi=True))


def _flat(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in items:
        yield name
        yield value
