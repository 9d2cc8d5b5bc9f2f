"""Incoming webhooks, `/hooks/…`: accepted messages and responses."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk.models.blocks import SectionBlock
from slack_sdk.webhook import WebhookClient
from sqlalchemy import select

from bolt_app.credentials.limits import LimitError, LimitReason
from bolt_app.db.models import Delivery, Notification
from bolt_app.logs import configure_logging
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.conftest import FakeClock
from tests.people import ACME
from tests.running import Bellhop, Page, running_bellhop
from tests.web.calling import put_bot, request

# As Alertmanager's Slack notifier posts it
# (https://github.com/prometheus/alertmanager/blob/main/notify/slack/slack.go).
ALERTMANAGER = {
    "channel": "#elsewhere",
    "username": "Alertmanager",
    "link_names": True,
    "attachments": [
        {
            "title": "[FIRING:1] Disk is full",
            "title_link": "https://alerts.example.com/#/alerts",
            "text": "less than 1 % left",
            "fallback": "[FIRING:1] Disk is full | https://alerts.example.com",
            "callback_id": "",
            "fields": [{"title": "host", "value": "db1", "short": True}],
            "footer": "",
            "color": "danger",
            "mrkdwn_in": ["fallback", "pretext", "text"],
        }
    ],
}


@pytest.fixture
def url(bellhop: Bellhop) -> str:
    put_bot(bellhop)
    return bellhop.services.webhooks.create(ACME, "alerts", ["#ops"])


@pytest.fixture
def slack_url(bellhop: Bellhop) -> str:
    """The address of a hook that takes Slack's format alone."""
    put_bot(bellhop)
    return bellhop.services.webhooks.create(ACME, "alerts", ["#ops"], sender="slack")


def post(url: str, data: bytes, content_type: str = "application/json") -> Page:
    return request("POST", url, data, {"Content-Type": content_type})


def post_json(url: str, payload: Any) -> Page:
    return post(url, json.dumps(payload).encode())


def accepted(bellhop: Bellhop) -> list[dict[str, Any]]:
    """Return the contents of accepted notifications in order."""
    with bellhop.services.database.reading() as session:
        statement = select(Notification.content).join(Delivery).order_by(Delivery.id)
        return list(session.scalars(statement))


def assert_response(answer: Page, status: int, words: str) -> None:
    assert (answer.status, answer.text) == (status, words)
    assert answer.headers["Content-Type"].startswith("text/plain")


class TestTaking:
    def test_a_message_is_taken_as_slack_takes_it(self, bellhop: Bellhop, url: str) -> None:
        assert_response(post_json(url, {"text": "Hello"}), 200, "ok")

        with bellhop.services.database.reading() as session:
            row = session.execute(
                select(Notification.source, Notification.team_id, Delivery.target, Delivery.state)
                .select_from(Notification)
                .join(Delivery)
            ).one()
        assert row == ("hook:1", ACME, "#ops", "waiting")
        assert accepted(bellhop) == [{"text": "Hello"}]

    def test_a_webhook_posts_to_several_recipients(self, bellhop: Bellhop) -> None:
        bellhop.services.subscriptions.subscribe(
            ACME, "@ann@acme.example", SubscriptionSpec("alerts")
        )
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(ACME, "", ["#ops", "topic:alerts"])

        assert_response(post_json(url, {"text": "Hello"}), 200, "ok")

        assert accepted(bellhop) == [{"text": "Hello"}] * 2

    @pytest.mark.sqlite_only
    def test_alertmanagers_format(self, bellhop: Bellhop, url: str) -> None:
        assert_response(post_json(url, ALERTMANAGER), 200, "ok")

        [content] = accepted(bellhop)
        assert content == {
            "username": "Alertmanager",
            "attachments": ALERTMANAGER["attachments"],
            "derived": {
                "severity": "error",
                "title": "[FIRING:1] Disk is full",
                "link": "https://alerts.example.com/#/alerts",
                "fields": [{"name": "host", "value": "db1"}],
            },
        }

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b'{"text": "Hello"}', "application/json; charset=utf-8"),
            (b'\xef\xbb\xbf{"text": "Hello"}', "application/json"),
            (b'{"text": "Hello"}', "text/plain"),
            (b' {"text": "Hello"}\n', "application/octet-stream"),
            # curl -d, without a header
            (b'{"text": "Hello"}', "application/x-www-form-urlencoded"),
            (
                urlencode({"payload": '{"text": "Hello"}'}).encode(),
                "application/x-www-form-urlencoded",
            ),
            (
                b'--x\r\nContent-Disposition: form-data; name="payload"\r\n\r\n'
                b'{"text": "Hello"}\r\n--x--\r\n',
                "multipart/form-data; boundary=x",
            ),
        ],
    )
    def test_json_is_read_whatever_it_comes_as(
        self, bellhop: Bellhop, url: str, body: bytes, content_type: str
    ) -> None:
        assert_response(post(url, body, content_type), 200, "ok")

        assert accepted(bellhop) == [{"text": "Hello"}]

    @pytest.mark.sqlite_only
    def test_slacks_own_client(self, bellhop: Bellhop, url: str) -> None:
        client = WebhookClient(url)

        answer = client.send(
            text="fallback",
            blocks=[SectionBlock(text="*Hello*")],
            attachments=[{"color": "good", "text": "more"}],
            unfurl_links=False,
        )

        assert (answer.status_code, answer.body) == (200, "ok")
        [content] = accepted(bellhop)
        assert content["text"] == "fallback"
        assert content["blocks"][0]["text"] == {"type": "mrkdwn", "text": "*Hello*"}
        assert content["attachments"] == [{"color": "good", "text": "more"}]
        assert content["unfurl_links"] is False

        refused = WebhookClient(url + "x").send(text="Hello")
        assert (refused.status_code, refused.body) == (403, "invalid_token")

    def test_long_text_is_cut(self, bellhop: Bellhop, url: str) -> None:
        payload = {
            "text": "x" * 50_000,
            "attachments": [{"text": str(n)} for n in range(120)],
            "username": "u" * 200,
        }

        assert_response(post_json(url, payload), 200, "ok")

        [content] = accepted(bellhop)
        assert content["text"] == "x" * 40_000
        assert content["attachments"] == payload["attachments"][:100]
        assert content["username"] == "u" * 80

    @pytest.mark.sqlite_only
    def test_unknown_parts_are_left_out(self, bellhop: Bellhop, url: str) -> None:
        payload = {
            "text": "Hello",
            "blocks": "none",
            "attachments": [None, {}, {"text": "more"}],
            "icon_url": "picture",
            "thread_ts": "first",
            "mrkdwn": None,
            "unfurl_links": "1",
            "surprise": {"a": 1},
        }

        assert_response(post_json(url, payload), 200, "ok")

        assert accepted(bellhop) == [
            {"text": "Hello", "attachments": [{"text": "more"}], "unfurl_links": True}
        ]

    def test_unstorable_characters_are_left_out(self, bellhop: Bellhop, url: str) -> None:
        body = (
            b'{"text": "a\\u0000b \\ud800 \n c", "attachments": [{"ts": 1e999, "text": "\\u0000"}]}'
        )

        assert_response(post(url, body), 200, "ok")

        assert accepted(bellhop) == [
            {"text": "ab � \n c", "attachments": [{"ts": None, "text": ""}]}
        ]


class TestRefusing:
    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("payload", [{}, {"text": ""}, {"text": " "}, {"attachments": []}])
    def test_nothing_to_say(self, bellhop: Bellhop, url: str, payload: Any) -> None:
        assert_response(post_json(url, payload), 400, "no_text")
        assert accepted(bellhop) == []

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("body", [b"", b" ", b"[]", b"null", b"\xff\xfe"])
    def test_an_empty_body(self, bellhop: Bellhop, url: str, body: bytes) -> None:
        assert_response(post(url, body), 400, "invalid_payload")
        form = "application/x-www-form-urlencoded"
        assert_response(post(url, body, form), 400, "invalid_payload")

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'"text"', b"7", b"text=Hello", b"payload=", b"\xff\xfe"]
    )
    def test_no_payload(self, bellhop: Bellhop, slack_url: str, body: bytes) -> None:
        assert_response(post(slack_url, body), 400, "invalid_payload")
        form = "application/x-www-form-urlencoded"
        assert_response(post(slack_url, body, form), 400, "invalid_payload")

    @pytest.mark.sqlite_only
    def test_an_empty_form(self, url: str) -> None:
        answer = post(url, b"--x--\r\n", "multipart/form-data; boundary=x")

        assert_response(answer, 400, "invalid_payload")

    @pytest.mark.sqlite_only
    def test_nested_too_deep(self, slack_url: str) -> None:
        body = b'{"text": "x", "attachments": ' + b"[" * 100_000

        assert_response(post(slack_url, body), 400, "invalid_payload")
        closed = b'{"text": "x", "a": ' + b"[" * 100 + b"]" * 100 + b"}"
        assert_response(post(slack_url, closed), 400, "invalid_payload")

    def test_an_unknown_webhook_is_rejected(self, bellhop: Bellhop, url: str) -> None:
        answer = post_json(f"{bellhop.url}/hooks/guess", {"text": "Hello"})

        assert_response(answer, 403, "invalid_token")

    def test_a_revoked_webhook_is_rejected(self, bellhop: Bellhop, url: str) -> None:
        assert bellhop.services.webhooks.revoke(1) is not None
        assert bellhop.services.webhooks.revoke(1) is None

        assert_response(post_json(url, {"text": "Hello"}), 404, "no_service")
        assert accepted(bellhop) == []

    def test_no_body_is_read_over_a_limit(self, bellhop: Bellhop, url: str) -> None:
        [hook] = bellhop.services.webhooks.of_team(ACME)
        until = bellhop.clock() + timedelta(seconds=30)
        error = LimitError(LimitReason.REQUESTS, 1, until, bellhop.clock())
        bellhop.services.sender_limits.reject(hook.credential, error)

        assert_response(post(url, b"no JSON"), 503, "rate_limited")

    def test_a_revoked_one_has_one_body_read(self, bellhop: Bellhop, url: str) -> None:
        post_json(url, {"text": "Hello"})
        bellhop.services.webhooks.revoke(1)

        assert_response(post(url, b"no JSON"), 404, "no_service")
        assert_response(post(url, b"no JSON"), 404, "no_service")
        assert not bellhop.services.webhooks.is_known(url.rpartition("/")[2])

    @pytest.mark.sqlite_only
    def test_more_than_we_take(self, url: str) -> None:
        assert_response(post_json(url, {"text": "x" * 1024 * 1024}), 413, "payload_too_large")

    def test_the_database_is_down(self, encryption_key: str, clock: FakeClock) -> None:
        address = "postgresql+psycopg://bell:sesame@127.0.0.1:9/bellhop"
        with running_bellhop(address, encryption_key, clock) as running:
            answer = post_json(f"{running.url}/hooks/any", {"text": "Hello"})

        assert_response(answer, 503, "service_unavailable")
        assert answer.headers["Retry-After"] == "60"


class TestSecrecy:
    @pytest.fixture
    def stream(self) -> Iterator[StringIO]:
        root = logging.getLogger()
        before = root.handlers[:], root.level
        stream = StringIO()
        configure_logging("DEBUG", "text", stream)
        yield stream
        root.handlers[:] = before[0]
        root.setLevel(before[1])

    def test_the_secret_is_in_no_log(self, bellhop: Bellhop, url: str, stream: StringIO) -> None:
        secret = url.rpartition("/")[2]

        post_json(url, {"text": "Hello"})
        post(url, b"{")
        request("GET", url)
        request("GET", f"{url}/more?{secret}=1")
        logging.getLogger("any").info("posted to %s", url)

        assert secret not in stream.getvalue()
        assert "POST /hooks/[redacted]" in stream.getvalue()

    def test_it_is_not_in_the_database(self, bellhop: Bellhop, url: str) -> None:
        secret = url.rpartition("/")[2]

        with bellhop.services.database.reading_connection() as connection:
            rows = connection.exec_driver_sql("SELECT * FROM webhooks").all()

        assert secret not in str(rows)
