"""Logging: one line per event, with a request id, without secrets and message texts.

Three rules apply at every level. Bellhop's messages are constants, beside which only ids, codes and
counts vary. An exception is logged with its type and traceback, without its message, which may
quote a person's text. Messages of libraries are withheld.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from urllib.error import URLError

import psycopg
from flask import Flask, Response, g, request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Bot, user, app, refresh and rotated tokens (https://docs.slack.dev/authentication/tokens), secrets
# in URLs and headers, and webhook URLs.
_SECRETS = re.compile(
    r"xox[a-z](?:\.xox[a-z])?-[\w-]+|xapp-[\w-]+"
    r"|(?<=[?&]code=)[^&\s\"']+|(?<=[?&]state=)[^&\s\"']+"
    r"|(?<=Bearer )[\w.\-+/=]+"
    r"|(?<=hooks\.slack\.com/)[\w/-]+"
    # Bellhop's webhooks, uploads and API keys.
    r"|(?<=/uploads/)[^\s\"'?#]+"
    r"|(?<=/hooks/)[^\s\"'?#]+|\bbh_[\w-]{16,}"
)

# Loggers whose messages are shown. gunicorn's concern its processes; see `_GunicornFilter`.
_OWN_LOGGERS = frozenset({"bolt_app", "app", "tests", "__main__", "gunicorn"})
# They log statements with parameters, payloads and URLs; at DEBUG this also costs time.
_QUIET_LIBRARIES = (
    "aiohttp",
    "alembic",
    "asyncio",
    "psycopg",
    "slack_bolt",
    "slack_sdk",
    "sqlalchemy",
    "urllib3",
    "werkzeug",
)
# gunicorn's messages that quote a line of a request, or its URL.
_GUNICORN_QUOTES = ("Invalid request from", "Error handling request")
_WITHHELD = "this library's message is withheld, because it may quote private texts"
MAX_ERROR_LENGTH = 300
# Names of Bellhop's tables and columns, missing before a migration.
_MISSING = re.compile(r"no such (?:table|column): [\w.]+")
# PostgreSQL's classes of errors: connection, authorization, database, deadlock, resources, state,
# intervention by an operator, system.
_SERVER_STATES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})

# The methods of RFC 9110 and 5789; others are not logged.
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)

logger = logging.getLogger(__name__)


class LoggableError(Exception):
    """An error whose message contains no private text, so that it can be logged."""


def describe_error(error: BaseException) -> str:
    """Describe an error for a log: its type, and its message if it cannot quote private text."""
    name = type(error).__name__
    text = _safe_text(error)
    return f"{name}: {text}"[:MAX_ERROR_LENGTH] if text else name


def _safe_text(error: BaseException) -> str:
    match error:
        case LoggableError() | PoolTimeoutError():
            return str(error)
        case DBAPIError():
            code = getattr(error.orig, "sqlstate", None)
            lines = str(error.orig).splitlines()[:1] if _is_about_server(error) else []
            return " ".join(filter(None, [type(error.orig).__name__, code, *lines]))
        case psycopg.OperationalError(sqlstate=code):
            lines = str(error).splitlines()[:1] if _is_server_state(code) else []
            return " ".join(filter(None, [code, *lines]))
        case URLError(reason=BaseException() as reason):
            return describe_error(reason)
        case OSError(errno=int() as number, strerror=str() as words):
            return f"[Errno {number}] {words}"
    return ""


def _is_about_server(error: DBAPIError) -> bool:
    """Whether a database error concerns the connection or server, and so quotes no value.

    https://www.sqlite.org/rescode.html and
    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        # Without an SQLite error code, Python raised it for an unreadable value.
        name = getattr(error.orig, "sqlite_errorname", "SQLITE_ERROR")
        return name != "SQLITE_ERROR" or _MISSING.fullmatch(str(error.orig)) is not None
    return _is_server_state(getattr(error.orig, "sqlstate", None))


def _is_server_state(state: str | None) -> bool:
    # Without a state, libpq has no connection.
    return state is None or state[:2] in _SERVER_STATES


def escape(text: str) -> str:
    """Return `text` with every unprintable character escaped.

    Line breaks could forge a line; control and direction characters could change its appearance.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def redact(text: str) -> str:
    """Return `text` with everything redacted that looks like a token, code, key or webhook."""
    return _SECRETS.sub("[redacted]", text)


class TextFormatter(logging.Formatter):
    """Formats a line for people; lines of a traceback are indented, to look like no record."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = (
            f"{moment} {record.levelname:7} {_request_id.get()} {record.name}: "
            f"{_message(record)}{extra}"
        )
        return redact("\n    ".join([escape(line), *_traceback(record)]))


class JsonFormatter(logging.Formatter):
    """Formats a record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "request_id": _request_id.get(),
            **_extra(record),
        }
        trace = list(_traceback(record))
        if trace:
            entry["exception"] = "\n".join(trace)
        return redact(json.dumps(entry, default=str))


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Report the place of a failure; the standard handler would print the message."""
        source = f"{record.name}:{record.lineno}"
        sys.stderr.write(f"a log line could not be written: {escape(source)}\n")


class _GunicornFilter(logging.Filter):
    """Removes request lines, and so URLs and headers, from gunicorn's messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return False
        if str(record.msg).startswith(_GUNICORN_QUOTES):
            record.msg, record.args = "a request could not be read or answered", ()
        return True


def configure_logging(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (default: standard error), in `text` or `json`."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel("WARNING")
    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.filters[:] = [_GunicornFilter()]
    # gunicorn started by itself has handlers with another format.
    gunicorn.handlers.clear()
    gunicorn.propagate = True
    # An access log has webhook URLs, which are secrets; `log_requests` logs routes instead.
    logging.getLogger("gunicorn.access").disabled = True
    threading.excepthook = _log_thread_error


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    """Log an error that ended a thread; the standard hook would print its message."""
    if args.exc_value is not None and args.exc_type is not SystemExit:
        logger.error("a thread ended with an error", exc_info=args.exc_value)


class QuietFlask(Flask):
    """Flask without its log of unhandled errors, which contains the URL of the request."""

    def log_exception(self, *_args: Any, **_kwargs: Any) -> None:
        """Log an error that the error handlers did not handle."""
        logger.error("a request could not be answered", exc_info=True)


def log_requests(app: Flask) -> None:
    """Give every request an id and a log line, with its route instead of its URL.

    A URL may contain a secret, even if it is mistyped.
    """

    @app.before_request
    def begin() -> None:
        g.request_id = os.urandom(8).hex()
        g.began = time.perf_counter()
        _request_id.set(g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        rule = request.url_rule
        route = "(no such route)" if rule is None else rule.rule
        quiet = route in ("/healthz", "/readyz") or route.startswith("/static/")
        logger.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s",
            request.method if request.method in _METHODS else "(no such method)",
            route,
            extra={
                "status": response.status_code,
                "ms": round((time.perf_counter() - g.began) * 1000, 1),
            },
        )
        return response


def end_request() -> None:
    """Log without a request id in this thread, until another request begins."""
    _request_id.set("-")


def _message(record: logging.LogRecord) -> str:
    if record.name != "root" and record.name.partition(".")[0] not in _OWN_LOGGERS:
        return f"{_WITHHELD} ({record.module}, line {record.lineno})"
    return record.getMessage()


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _traceback(record: logging.LogRecord) -> Iterator[str]:
    """Yield the lines of a record's traceback, causes first."""
    if record.exc_info and record.exc_info[1] is not None:
        yield from _error_lines(record.exc_info[1], record.exc_info[2], set())


def _error_lines(
    error: BaseException, trace: TracebackType | None, seen: set[int]
) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _error_lines(before, before.__traceback__, seen)
        yield "which led to:"
    for frame in traceback.extract_tb(trace):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        if frame.line:
            yield f"    {frame.line}"
    yield escape(describe_error(error))
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _error_lines(member, member.__traceback__, seen)
