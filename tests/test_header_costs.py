"""No header of a request without credentials takes noticeable processor time.

gunicorn accepts lines of up to 8,190 bytes, and libraries parse them before anything is known of
the client.
"""

from __future__ import annotations

from itertools import product
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

import pytest
from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from tests.conftest import FakeClock
from tests.running import running_bellhop
from tests.test_linear_time import seconds

pytestmark = pytest.mark.sqlite_only

# Work that grows with the square of the length takes noticeable time for half of it.
LENGTH = 4_000
MOST_SECONDS = 0.1
NAMES = (
    *("Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Cookie", "Forwarded"),
    *("Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range"),
    *("If-Unmodified-Since", "Origin", "Range", "Referer", "User-Agent", "X-Forwarded-For"),
    *("X-Forwarded-Proto", "X-Request-Id", "X-Slack-Signature", "X-Slack-Request-Timestamp"),
)
VARIABLES = [f"HTTP_{name.upper().replace('-', '_')}" for name in NAMES]
STARTS = ("", "a=", 'a="', "text/plain; a=", 'text/plain; a="', "bytes=", 'W/"', "text/plain; a*='")
PUMPS = (
    *("a", " ", ";", "=", '"', "\\", ",", "%", "1", "-", "/", "'", ".", "[", ":", "+", "\t", "é"),
    *("%22", "a=", "a;", "; ", "a= ", 'a="', 'a=" ', "a*0=1;", "a*=b;", "a/b;q=1,", 'W/"', "a, "),
    *("Mon, ", "a b", "a=%zz&"),
)
ENDS = ("", '"', ";")
ROUTES = (("GET", "/static/bellhop.css"), ("GET", "/slack/oauth_redirect"), ("POST", "/hooks/x"))


@pytest.mark.slow
def test_every_header(database_url: str, encryption_key: str, clock: FakeClock) -> None:
    with running_bellhop(database_url, encryption_key, clock, trusted_proxies=9) as bellhop:
        for (method, path), start, pump, end in product(ROUTES, STARTS, PUMPS, ENDS):
            value = f"{start}{pump * (LENGTH // len(pump))}{end}"
            environ = create_environ(path, bellhop.url, method=method)
            environ |= dict.fromkeys([*VARIABLES, "CONTENT_TYPE"], value)
            environ["QUERY_STRING"] = quote(value, safe="%&=+;")
            environ["REMOTE_ADDR"] = "127.0.0.1"

            assert seconds_of(bellhop.app, environ) < MOST_SECONDS, (path, start, pump, end)


def seconds_of(app: Flask, environ: WSGIEnvironment) -> float:
    """Serve a request in this thread; return its processor time."""
    return seconds(lambda _: run_wsgi_app(app.wsgi_app, environ, buffered=True), "")
