"""Requests to `/slack/events`: verified, and always answered."""

from __future__ import annotations

import socket
from urllib.parse import urlencode, urlsplit

import pytest
from slack_sdk.signature import SignatureVerifier
from sqlalchemy import text

from tests.people import ACME, ANN, GENERAL
from tests.running import SIGNING_SECRET, Bellhop, Page

pytestmark = pytest.mark.sqlite_only

COMMAND = {
    "command": "/profile",
    "text": "",
    "team_id": ACME,
    "user_id": ANN,
    "channel_id": GENERAL,
    "response_url": "http://127.0.0.1:9/never",
    "trigger_id": "1.2.3",
}


def post_signed(bellhop: Bellhop, secret: str, timestamp: float) -> Page:
    body, stamp = urlencode(COMMAND), str(int(timestamp))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
    return bellhop.browser().post("/slack/events", COMMAND, headers)


def test_a_signed_request_is_answered(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    page = post_signed(bellhop, SIGNING_SECRET, bellhop.clock.timestamp())

    assert page.status == 200
    assert "Ann Archer" in page.text


def test_a_wrong_signature_is_refused(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    page = post_signed(bellhop, "another secret", bellhop.clock.timestamp())

    assert page.status == 401
    assert "Ann" not in page.text


def test_an_old_request_is_refused(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    assert post_signed(bellhop, SIGNING_SECRET, bellhop.clock.timestamp() - 301).status == 401


def test_an_unsigned_request_is_refused(bellhop: Bellhop) -> None:
    assert bellhop.browser().post("/slack/events", COMMAND).status == 401


@pytest.mark.parametrize("path", ["/slack/install", "/slack/oauth_redirect"])
def test_other_methods_are_refused(bellhop: Bellhop, path: str) -> None:
    assert bellhop.browser().post(path, {}).status == 405


@pytest.mark.parametrize("path", ["/slack/install", "/slack/oauth_redirect?state=x&code=y"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("[]", "application/json"),
        ('{"team":1}', "application/json"),
        ("[" * 100_000, "application/json"),
        ("payload=x", "application/x-www-form-urlencoded"),
        ("payload=[]", "application/x-www-form-urlencoded"),
    ],
    ids=["list", "team", "nested", "payload", "payload of a list"],
)
def test_the_body_of_a_visit_is_not_read(
    bellhop: Bellhop, path: str, body: str, content_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert visit(bellhop, path, body, content_type) == visit(bellhop, path, "", content_type)
    assert not any(record.exc_info for record in caplog.records)


def test_a_visit_whose_query_is_no_text_is_answered(bellhop: Bellhop) -> None:
    assert visit(bellhop, "/slack/install?team=%ff", "", "text/plain") == 302
    assert visit(bellhop, "/slack/install?team=\xff", "", "text/plain") == 302


def visit(bellhop: Bellhop, path: str, body: str, content_type: str) -> int:
    address = urlsplit(bellhop.url)
    head = f"GET {path} HTTP/1.0\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    with socket.create_connection((str(address.hostname), address.port or 80), 20) as client:
        client.sendall(f"{head}\r\n\r\n{body}".encode("latin-1"))
        return int(client.makefile("rb").readline().split()[1])


def test_a_database_failure_is_reported(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    database = bellhop.services.database
    with database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE users RENAME TO users_away"))
    try:
        result = bellhop.slack.send_command(ANN, GENERAL, "/profile", "")
    finally:
        with database.writing_connection() as connection:
            connection.execute(text("ALTER TABLE users_away RENAME TO users"))

    assert result.status == 200
    assert result.message is not None
    assert result.message.ephemeral_to == ANN
    assert "in Bellhop" in result.message.text or "database" in result.message.text
