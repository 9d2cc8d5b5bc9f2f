"""Errors: a page for people, or problem+json (RFC 9457) for programs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Flask, Response, g, jsonify, make_response, render_template, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException

from bolt_app.access.authorization import AccessDeniedError, RoleCheckLimitError
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.slack_api import OVERLOADED, SlackCallError
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

# Errors while reading a body that its sender cut off, or whose chunks or trailers are malformed.
_BROKEN_BODY = (ParseException, NoMoreData)
# Until a request may find a database that answers, or its sender below a limit.
RETRY_SECONDS = 60
# Until there may be room for another thread that does the same.
BUSY_SECONDS = 1
# Browsers and programs send less. Parsing time grows with each media type.
_MAX_ACCEPT_LENGTH = 1024
_WORDS = {
    400: "The request is malformed.",
    403: "You are not allowed to do this.",
    404: "This page does not exist.",
    405: "This URL does not support that method.",
    413: "The request is too large. The limit is 1 MiB, and 16 KiB for most forms on a page and all"
    " forms of people who are not signed in.",
    500: "Something went wrong in Bellhop. Your administrator can find the cause in the log.",
    503: "Bellhop's database is not answering. Try again in a minute.",
}


def register_errors(app: Flask) -> None:
    """Register a handler for every error."""

    @app.errorhandler(HTTPException)
    def answer_http_error(error: HTTPException) -> Response:
        if error.response is not None:
            return make_response(error.response)
        status = error.code or 500
        custom = error.description if error.description != type(error).description else None
        response = problem(status, custom or _WORDS.get(status) or error.name)
        for name, value in error.get_headers():
            # For example Allow.
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(Exception)
    def answer_unexpected(error: Exception) -> Response:
        logger.error("a request failed", exc_info=error)
        return problem(500, _WORDS[500])

    @app.errorhandler(AccessDeniedError)
    def answer_denied(error: AccessDeniedError) -> Response:
        return problem(403, str(error))

    @app.errorhandler(RoleCheckLimitError)
    def answer_too_many_checks(error: RoleCheckLimitError) -> Response:
        return problem(429, str(error))

    @app.errorhandler(NotInstalledError)
    def answer_not_installed(error: NotInstalledError) -> Response:
        return problem(409, str(error))

    @app.errorhandler(SlackCallError)
    def answer_slack_error(error: SlackCallError) -> Response:
        return problem(503 if error.code == OVERLOADED else 502, error.sentence)

    for broken in _BROKEN_BODY:
        app.register_error_handler(broken, _answer_broken_body)
    answer_without_database(app, lambda: problem(503, _WORDS[503]))


def answer_without_database(scaffold: Flask | Blueprint, answer: Callable[[], Response]) -> None:
    """Register the response to requests whose database does not answer.

    Args:
        answer: returns the response, which has status 503; `Retry-After` is added.
    """

    def handle(error: Exception) -> Response:
        logger.error("the database is not answering", exc_info=error)
        response = answer()
        response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response

    for kind in DATABASE_UNAVAILABLE:
        scaffold.register_error_handler(kind, handle)


def problem(status: int, sentence: str, **members: object) -> Response:
    """Return an error as a page, or as problem+json for a program.

    Args:
        members: additional members of problem+json.
    """
    title = HTTPStatus(status).phrase
    if _wants_json():
        response = jsonify(
            type="about:blank",
            title=title,
            status=status,
            detail=sentence,
            request_id=g.get("request_id"),
            **members,
        )
        response.mimetype = "application/problem+json"
    else:
        page = render_template(
            "error.html", title=title, sentence=sentence, request_id=g.get("request_id")
        )
        response = make_response(page)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _answer_broken_body(_error: Exception) -> Response:
    response = problem(400, _WORDS[400])
    response.headers["Connection"] = "close"
    return response


def _wants_json() -> bool:
    if request.path.startswith("/api/"):
        return True
    if len(request.headers.get("Accept", "")) > _MAX_ACCEPT_LENGTH:
        return False
    accepted = request.accept_mimetypes
    return accepted.best_match(["text/html", "application/json"]) == "application/json"
