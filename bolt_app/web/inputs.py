"""Limits on the type, size and characters of queries and forms, checked before a view reads them.

CSRF protection reads the form of a request before the view looks at the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flask import Flask, abort, request

from bolt_app.services import Services
from bolt_app.web.forms import URLENCODED
from bolt_app.web.sessions import signed_in_installation

# The largest form of a page: a channel id and a CSRF token.
PAGE_FORM_BYTES = 16 * 1024
# The largest form in a session, by blueprint: the same, or a template, of which a browser writes a
# character in up to twelve bytes.
MAX_FORM_BYTES: Mapping[str | None, int] = {
    "pages": PAGE_FORM_BYTES,
    "webhook_pages": 256 * 1024,
}


def register_input_checks(app: Flask, services: Services) -> None:
    """Reject forms of pages that are too large with 413, and other types than theirs with 415.

    Reject NUL characters, which PostgreSQL does not accept, in queries and forms.

    Views look up names in paths, and no name has such a character. The HTTP API reports the invalid
    field instead; webhooks, the Slack-compatible Web API and verified requests to `/slack/events`
    drop the characters.
    """

    @app.before_request
    def bound_forms() -> None:
        if not _has_page_form():
            return
        if request.mimetype not in ("", URLENCODED):
            abort(415, f"Send the form as {URLENCODED}.")
        most = MAX_FORM_BYTES[request.blueprint]
        if most > PAGE_FORM_BYTES and signed_in_installation(services) is None:
            most = PAGE_FORM_BYTES
        request.max_content_length = most

    @app.before_request
    def refuse_nul() -> None:
        if request.blueprint not in ("api", "methods") and any("\0" in text for text in _texts()):
            abort(400)


def _has_page_form() -> bool:
    return request.method == "POST" and request.blueprint in MAX_FORM_BYTES


def _texts() -> Iterator[str]:
    if request.query_string:
        yield from _flat(request.args.items(multi=True))
    if _has_page_form():
        yield from _flat(request.form.items(multi=True))


def _flat(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in items:
        yield name
        yield value
