"""Sweep: every form of unsigned request to Slack's URL is rejected."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from bolt_app.slack.endpoint import EVENTS_PATH
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

FORGED = "X-Slack-Signature: v0=" + "a" * 64
QUERIES = (
    "",
    "?",
    "?%00",
    "?a=%00&%00=b",
    "?%ff%fe",
    "?%ED%A0%80",
    "?%zz",
    "?" + "a=1&" * 2000,
    "?a[b][c]=1;d",
    "?payload={",
    "?ssl_check=1",
    "?code=1&state=2",
    "?X-Slack-Signature=v0%3D0",
)
HEADERS = (
    "Content-Type: application/json",
    "Content-Type: multipart/form-data",
    "Content-Type: multipart/form-data; boundary=\xff",
    "Content-Type: application/x-www-form-urlencoded; charset=no-such",
    "Content-Encoding: gzip",
    "Content-Length: abc",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Cookie: session=\xff\x01; =; ;;",
    "Host: ",
    "Host: a b",
    "Host: [::1",
    "Host: evil.example",
    "Accept: */*;q=\xff",
    "Accept: application/json",
    "Authorization: Bearer bh_x",
    "Authorization: Basic !",
    "Expect: something",
    "Range: bytes=0-",
    "If-None-Match: *",
    "X-Forwarded-For: \xff",
    "X-Forwarded-Host: a\tb",
    "X-Forwarded-Proto: javascript",
    "X-HTTP-Method-Override: GET",
    "X-Original-URL: /healthz",
    FORGED,
)
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "BREW")


def answer_to(
    bellhop: Bellhop, target: str, *headers: str, method: str = "POST"
) -> tuple[int, str | None]:
    """Return the status and the `Connection` header of the response to a raw request."""
    parts = urlsplit(bellhop.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    is_host_given = any(one.startswith("Host:") for one in headers)
    connection.putrequest(method, target, skip_host=is_host_given, skip_accept_encoding=True)
    for name, _, value in (one.partition(": ") for one in headers):
        connection.putheader(name, value.encode("latin-1"))
    try:
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers["Connection"]
    finally:
        connection.close()


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_is_read_before_the_signature(bellhop: Bellhop, query: str) -> None:
    assert answer_to(bellhop, EVENTS_PATH + query, "Content-Length: 0") == (401, "close")


@pytest.mark.parametrize("target", ["http://other.example/slack/events?%00", "/slack/%65vents"])
def test_no_form_of_the_address_does_without_a_signature(bellhop: Bellhop, target: str) -> None:
    assert answer_to(bellhop, target, "Content-Length: 0") == (401, "close")


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_is_read_before_the_signature(bellhop: Bellhop, header: str) -> None:
    assert answer_to(bellhop, EVENTS_PATH, header) == (401, "close")


@pytest.mark.parametrize("method", METHODS)
def test_no_method_does_without_a_signature(bellhop: Bellhop, method: str) -> None:
    assert answer_to(bellhop, f"{EVENTS_PATH}?%00", method=method) == (401, "close")
