"""Webhooks of known senders over HTTP: signatures, recognition, the fallback, and its count."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import select

from bolt_app.db.models import Delivery, Notification
from bolt_app.senders.registry import senders_with_secrets
from bolt_app.senders.signatures import is_recent, versioned_hmac
from slack_sandbox.world import Message
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.people import ACME, GENERAL
from tests.running import Bellhop, Page
from tests.senders.fixtures import Fixture, fixture, fixtures
from tests.web.calling import put_bot, request

SECRET = "a secret of the sender"
SignedFixture = tuple[Fixture, dict[str, str]]


def create_webhook(bellhop: Bellhop, sender: str = "auto", **given: Any) -> str:
    put_bot(bellhop)
    return bellhop.services.webhooks.create(ACME, "tools", ["#ops"], sender=sender, **given)


def post(url: str, one: Fixture, **headers: str) -> Page:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", url, one.raw, {**one.headers, **named})


def accepted(bellhop: Bellhop) -> list[tuple[dict[str, Any], str | None]]:
    """Return the contents and keys of what was accepted, in its order."""
    with bellhop.services.database.reading() as session:
        statement = (
            select(Notification.content, Notification.key).join(Delivery).order_by(Delivery.id)
        )
        return [(row.content, row.key) for row in session.execute(statement)]


def hex_hmac(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(sender: str, name: str, header: str, form: str = "{}") -> SignedFixture:
    """Return a recorded body with the header by which its sender signs."""
    one = fixture(sender, name)
    return one, {header: form.format(hex_hmac(one.raw))}


def hex_sha512(body: bytes) -> str:
    return hmac.new(SECRET.encode(), body, hashlib.sha512).hexdigest()


SIGNED: dict[str, SignedFixture] = {
    "bitbucket": signed("bitbucket", "push", "X-Hub-Signature", "sha256={}"),
    "circleci": signed("circleci", "failed", "Circleci-Signature", "v1={}"),
    "flux": signed("flux", "failed", "X-Signature", "sha256={}"),
    "github": signed("github", "push", "X-Hub-Signature-256", "sha256={}"),
    "gitlab": (fixture("gitlab", "push"), {"X-Gitlab-Token": SECRET}),
    "grafana": signed("grafana", "firing", "X-Grafana-Alerting-Signature"),
    "pagerduty": signed("pagerduty", "triggered", "X-PagerDuty-Signature", "v1=0123,v1={}"),
    "sentry": signed("sentry", "issue_alert", "Sentry-Hook-Signature"),
    "sonarqube": signed("sonarqube", "failed", "X-Sonar-Webhook-HMAC-SHA256"),
    "terraform": (
        fixture("terraform", "errored"),
        {"X-TFE-Notification-Signature": hex_sha512(fixture("terraform", "errored").raw)},
    ),
}


def test_every_sender_that_signs_is_tried() -> None:
    assert senders_with_secrets() == list(SIGNED)


class TestSignatures:
    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("sender", SIGNED)
    def test_what_the_sender_signed_is_taken(self, bellhop: Bellhop, sender: str) -> None:
        one, headers = SIGNED[sender]
        url = create_webhook(bellhop, sender, signing_secret=SECRET)

        answer = request("POST", url, one.raw, {**one.headers, **headers})

        assert (answer.status, answer.text) == (200, "ok")
        assert len(accepted(bellhop)) == 1

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("sender", SIGNED)
    @pytest.mark.parametrize("kind", ["missing", "empty", "of another body", "of another secret"])
    def test_anything_else_is_refused(self, bellhop: Bellhop, sender: str, kind: str) -> None:
        one, right = SIGNED[sender]
        url = create_webhook(bellhop, sender, signing_secret=SECRET)
        [(name, value)] = right.items()
        raw = one.raw
        wrong = {
            "missing": {},
            "empty": {name: ""},
            "of another body": {name: value},
            "of another secret": {name: value.replace(hex_hmac(raw), hex_hmac(raw, "x")) + "x"},
        }[kind]
        if kind == "of another body":
            if sender == "gitlab":
                pytest.skip("GitLab signs no body")
            raw += b" "

        answer = request("POST", url, raw, {**one.headers, **wrong})

        assert (answer.status, answer.text) == (403, "invalid_signature")
        assert accepted(bellhop) == []

    @pytest.mark.sqlite_only
    def test_grafana_may_sign_its_timestamp_too(self, bellhop: Bellhop) -> None:
        one = fixture("grafana", "firing")
        url = create_webhook(bellhop, "grafana", signing_secret=SECRET)
        stamp = str(int(bellhop.clock.timestamp()))
        signed = hex_hmac(f"{stamp}:".encode() + one.raw)
        headers = {**one.headers, "X-Grafana-Alerting-Signature": signed}

        late = request("POST", url, one.raw, {**headers, "X-Grafana-Alerting-Timestamp": "1"})
        right = {**headers, "X-Grafana-Alerting-Timestamp": stamp}

        assert late.status == 403
        assert request("POST", url, one.raw, right).status == 200

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(("age", "status"), [(-301, 403), (-299, 200), (299, 200), (301, 403)])
    def test_a_signed_timestamp_is_recent(self, bellhop: Bellhop, age: int, status: int) -> None:
        one = fixture("grafana", "firing")
        url = create_webhook(bellhop, "grafana", signing_secret=SECRET)
        stamp = str(int(bellhop.clock.timestamp()) - age)
        signed = hex_hmac(f"{stamp}:".encode() + one.raw)
        times = {"X-Grafana-Alerting-Timestamp": stamp, "X-Grafana-Alerting-Signature": signed}

        assert request("POST", url, one.raw, {**one.headers, **times}).status == status

    @pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", "1 ", "\u0661", "9" * 12])
    def test_nothing_else_is_a_timestamp(self, timestamp: str) -> None:
        assert not is_recent(timestamp, datetime.fromtimestamp(1, UTC))

    @pytest.mark.sqlite_only
    def test_a_signed_timestamp_is_no_part_of_a_body(self, bellhop: Bellhop) -> None:
        one = fixture("grafana", "firing")
        url = create_webhook(bellhop, "grafana", signing_secret=SECRET)
        stamped = f"{int(bellhop.clock.timestamp())}:".encode() + one.raw
        headers = {**one.headers, "X-Grafana-Alerting-Signature": hex_hmac(stamped)}

        assert request("POST", url, stamped, headers).status == 403
        assert accepted(bellhop) == []

    @pytest.mark.sqlite_only
    def test_a_form_is_signed_as_it_is_sent(self, bellhop: Bellhop) -> None:
        one = fixture("github", "push")
        raw = urlencode({"payload": one.raw.decode()}).encode()
        url = create_webhook(bellhop, "github", signing_secret=SECRET)
        headers = {**one.headers, "Content-Type": "application/x-www-form-urlencoded"}

        wrong = request("POST", url, raw, {**headers, **SIGNED["github"][1]})
        signed = {**headers, "X-Hub-Signature-256": f"sha256={hex_hmac(raw)}"}

        assert wrong.status == 403
        assert request("POST", url, raw, signed).status == 200
        assert accepted(bellhop)[0][0]["title"] == one.notifications[0]["title"]

    def test_a_new_secret_counts_from_the_next_request(self, bellhop: Bellhop) -> None:
        one, headers = SIGNED["sentry"]
        url = create_webhook(bellhop, "sentry")
        assert post(url, one).status == 200
        [hook] = bellhop.services.webhooks.of_team(ACME)

        assert bellhop.services.webhooks.set_signing_secret(hook.id, SECRET, ["sentry"])

        assert post(url, one).status == 403
        assert request("POST", url, one.raw, {**one.headers, **headers}).status == 200

    def test_the_secret_is_encrypted_in_the_database(self, bellhop: Bellhop) -> None:
        create_webhook(bellhop, "github", signing_secret=SECRET)

        with bellhop.services.database.reading_connection() as connection:
            rows = connection.exec_driver_sql("SELECT * FROM webhooks").all()

        assert SECRET not in str(rows)
        assert SECRET not in repr(bellhop.services.webhooks.of_team(ACME))

    def test_a_refused_body_counts_against_the_limit(self, bellhop: Bellhop) -> None:
        one, _ = SIGNED["github"]
        url = create_webhook(bellhop, "github", signing_secret=SECRET)

        post(url, one)

        with bellhop.services.database.reading_connection() as connection:
            row = connection.exec_driver_sql("SELECT minute_requests FROM webhooks").one()
        assert row == (1,)


class TestRecognition:
    @pytest.mark.sqlite_only
    def test_the_sender_is_recognized_without_its_name(self, bellhop: Bellhop) -> None:
        url = create_webhook(bellhop)

        for sender in ("alertmanager", "grafana", "gitlab", "cloudevents", "slack"):
            one = next(fixtures(sender))
            assert post(url, one).status == 200

        titles = [content.get("title") for content, _ in accepted(bellhop)]
        assert titles == ["DiskFull", "High latency", *titles[2:]]
        [hook] = bellhop.services.webhooks.of_team(ACME)
        assert hook.unrecognized == 0

    @pytest.mark.sqlite_only
    def test_slacks_format_goes_before_the_shape_of_another(self, bellhop: Bellhop) -> None:
        body = {**fixture("alertmanager", "firing").body, "text": "Hello"}

        answer = request("POST", create_webhook(bellhop), json.dumps(body).encode())

        assert answer.status == 200
        assert accepted(bellhop) == [({"text": "Hello"}, None)]

    @pytest.mark.sqlite_only
    def test_a_webhook_for_one_tool_takes_another_tools_body_too(self, bellhop: Bellhop) -> None:
        url = create_webhook(bellhop, "grafana")

        assert post(url, fixture("alertmanager", "firing")).status == 200

        assert accepted(bellhop)[0][0]["title"] == "DiskFull"

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("query", "key_field", "key"),
        [
            ("", None, fixture("alertmanager", "firing").body["groupKey"]),
            ("?key=disk", None, "disk"),
            ("?key=disk", "instance", "disk"),
            ("", "instance", "db1"),
            ("", "receiver", "bellhop"),
            ("", "nothing", fixture("alertmanager", "firing").body["groupKey"]),
        ],
    )
    def test_the_key_is_the_addresss_the_fields_or_the_senders(
        self, bellhop: Bellhop, query: str, key_field: str | None, key: str
    ) -> None:
        url = create_webhook(bellhop, key_field=key_field)

        post(f"{url}{query}", fixture("alertmanager", "firing"))

        assert accepted(bellhop)[0][1] == f"hook:1|{key}"

    @pytest.mark.sqlite_only
    def test_a_long_key_is_replaced_by_its_hash(self, bellhop: Bellhop) -> None:
        body = {**fixture("alertmanager", "firing").body, "groupKey": "x" * 300}

        request("POST", create_webhook(bellhop), json.dumps(body).encode())

        digest = hashlib.sha256(b"x" * 300).hexdigest()
        assert accepted(bellhop)[0][1] == f"hook:1|sha256:{digest}"


class TestCallbackId:
    @pytest.mark.sqlite_only
    def test_it_is_the_key_of_a_message_in_slacks_format(self, bellhop: Bellhop) -> None:
        post(create_webhook(bellhop), fixture("slack", "firing"))

        assert accepted(bellhop)[0][1] == "hook:1|DiskFull"

    @pytest.mark.sqlite_only
    def test_an_empty_key_field_leaves_it_alone(self, bellhop: Bellhop) -> None:
        post(create_webhook(bellhop, key_field=""), fixture("slack", "firing"))

        assert accepted(bellhop)[0][1] is None


@pytest.mark.sqlite_only
def test_uptime_kumas_form_is_read(bellhop: Bellhop) -> None:
    one = fixture("uptime-kuma", "down")
    head = b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n'
    # In chunks, without a Content-Length, as it sends them.
    chunks = iter([head, one.raw, b"\r\n--x--", b"\r\n"])
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    with urlopen(Request(create_webhook(bellhop), chunks, kind), timeout=20) as answer:  # noqa: S310
        assert answer.status == 200

    assert accepted(bellhop)[0][0]["title"] == "Orders is down"


class TestFallback:
    def test_an_unknown_body_is_readable_and_counted(self, bellhop: Bellhop) -> None:
        url = create_webhook(bellhop)
        body = {
            "event": {"name": "Backup failed", "severity": "high", "token": "xyzzy"},
            "host": "db1",
            "message": "no space <left> on <!channel>",
            "links": [{"url": "https://backup.acme.example/4"}],
        }

        answer = request("POST", url, json.dumps(body).encode())

        assert (answer.status, answer.text) == (200, "ok")
        [(content, key)] = accepted(bellhop)
        assert content == {
            "title": "Backup failed",
            "text": "no space &lt;left&gt; on &lt;!channel&gt;",
            "severity": "error",
            "link": "https://backup.acme.example/4",
            "fields": [
                {"name": "host", "value": "db1"},
                {"name": "event.severity", "value": "high"},
            ],
        }
        assert key is None
        [hook] = bellhop.services.webhooks.of_team(ACME)
        assert (hook.unrecognized, hook.unrecognized_at) == (1, bellhop.clock())

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("raw", "content"),
        [
            (b"backup <done>", {"text": "backup &lt;done&gt;"}),
            (b'"done"', {"text": "done"}),
            (b'{"broken": ', {"text": '{"broken":'}),
            (b"[" * 100_000, {"text": "[" * 1999 + "…"}),
            (
                b"status=down&monitor=web",
                {
                    "title": "Message in an unknown format",
                    "severity": None,
                    "fields": [
                        {"name": "status", "value": "down"},
                        {"name": "monitor", "value": "web"},
                    ],
                },
            ),
            (b'{"text": " ", "error": "x"}', {"title": "Message in an unknown format"}),
        ],
    )
    def test_so_is_anything_else(
        self, bellhop: Bellhop, raw: bytes, content: dict[str, Any]
    ) -> None:
        assert request("POST", create_webhook(bellhop), raw).status == 200

        [(found, _)] = accepted(bellhop)
        assert {name: found.get(name) for name in content} == content


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("sender", "first", "last", "title"),
    [
        ("alertmanager", "firing", "resolved", "Resolved: DiskFull"),
        ("grafana", "firing", "resolved", "Resolved: High latency"),
        ("github", "workflow_run_failed", "workflow_run_succeeded", "CI #562: success"),
        ("gitlab", "pipeline_failed", "pipeline_succeeded", "Pipeline #31: success"),
        ("pagerduty", "triggered", "resolved", "Resolved: Orders are not charged"),
        ("uptime-kuma", "down", "up", "Orders is up"),
        ("sentry", "metric_alert_critical", "metric_alert_resolved", "Resolved: Too many errors"),
        ("sentry", "issue_alert", "issue_resolved", "Resolved: PaymentTimeout"),
    ],
)
def test_the_message_turns_green(
    database_url: str, encryption_key: str, sender: str, first: str, last: str, title: str
) -> None:
    with quick_bellhop(database_url, encryption_key) as bellhop:
        install_without_limits(bellhop)
        url = bellhop.services.webhooks.create(ACME, "tools", ["#general"], sender=sender)
        with delivering(bellhop):
            post(url, fixture(sender, first))
            wait_until(bellhop, lambda: bool(messages(bellhop)))
            [red] = messages(bellhop)
            assert "actions" in json.dumps(red.attachments)
            post(url, fixture(sender, last))
            wait_until(bellhop, lambda: title in messages(bellhop)[0].text)

        [green] = messages(bellhop)
        assert green.ts == red.ts
        assert green.attachments[0]["color"] == "#2e9e5b"
        assert "acknowledge" not in json.dumps(green.attachments)


def messages(bellhop: Bellhop) -> list[Message]:
    return bellhop.slack.messages(GENERAL)


def test_only_the_known_version_of_a_signature_counts() -> None:
    signature = hmac.new(b"secret", b"body", "sha256").hexdigest()
    verify, now = versioned_hmac("X-Signature").verify, datetime.now(UTC)
    assert verify is not None

    accepted = [
        verify("secret", {"x-signature": f"{version}={signature}"}, b"body", now)
        for version in ("v0", "v1", "v2")
    ]

    assert accepted == [False, True, False]
