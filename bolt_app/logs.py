"""Logs: one line an event, with a request id, and nothing that looks like a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from flask import Flask, Response, g, request

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Bot, user, app, refresh and rotated tokens (https://docs.slack.dev/authentication/tokens), what
# travels in an address or header beside them, and webhook addresses.
_SECRETS = re.compile(
    r"xox[a-z](?:\.xox[a-z])?-[\w-]+|xapp-[\w-]+"
    r"|(?<=[?&]code=)[^&\s\"']+|(?<=[?&]state=)[^&\s\"']+"
    r"|(?<=Bearer )[\w.\-+/=]+"
    r"|(?<=hooks\.slack\.com/)[\w/-]+"
    # Hooks and API keys of our own.
    r"|(?<=/hooks/)[^\s\"'?#]+|\bbh_[\w-]{16,}"
)

logger = logging.getLogger(__name__)


def redact(text: str) -> str:
    """Return `text` without anything that looks like a token, code, state, key or hook."""
    return _SECRETS.sub("[redacted]", text)


class TextFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = (
            f"{moment} {record.levelname:7} {_request_id.get()} {record.name}: "
            f"{record.getMessage()}{extra}"
        )
        return redact(line + _traceback(self, record))


class JsonFormatter(logging.Formatter):
    """A line for machines."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": _request_id.get(),
            **_extra(record),
        }
        if record.exc_info:
            entry["exception"] = _traceback(self, record).lstrip()
        return redact(json.dumps(entry, default=str, ensure_ascii=False))


def configure_logging(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (default: standard error), in `text` or `json`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # slack_sdk logs requests at DEBUG and each failure again; alembic tells every step.
    logging.getLogger("slack_sdk").setLevel("WARNING")
    logging.getLogger("alembic").setLevel("WARNING")
    # Huey tells of each task twice.
    logging.getLogger("huey").setLevel("WARNING")


def log_requests(app: Flask) -> None:
    """Give every request an id and a line in the log, without its query string."""

    @app.before_request
    def begin() -> None:
        g.request_id = uuid.uuid4().hex[:16]
        g.began = time.perf_counter()
        _request_id.set(g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        quiet = request.path in ("/healthz", "/readyz") or request.path.startswith("/static/")
        logger.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s",
            request.method,
            request.path,
            extra={
                "status": response.status_code,
                "ms": round((time.perf_counter() - g.began) * 1000, 1),
            },
        )
        return response


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return "\n" + formatter.formatException(record.exc_info) if record.exc_info else ""
