"""Amazon SNS: signatures, confirmations, and the addresses that are fetched for them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from itertools import islice
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from bolt_app.credentials.limits import RevokedError
from bolt_app.db.audit import AuditAction
from bolt_app.http_loop import HttpLoop
from bolt_app.notifications.incidents.callback_http import MOST_BYTES, CallbackClient
from bolt_app.senders.aws_sns.checks import (
    FAILED_FOR_SECONDS,
    Fetch,
    SnsChecks,
    SnsUnreachableError,
)
from bolt_app.senders.aws_sns.messages import (
    is_certificate_address,
    is_signed,
    is_sns_address,
    is_topic,
    signed_text,
)
from bolt_app.thread_limit import ThreadLimit
from tests.conftest import FakeClock
from tests.people import ACME
from tests.running import Bellhop, Page, running_bellhop
from tests.senders.fixtures import fixture
from tests.senders.test_webhooks import accepted, create_webhook
from tests.web.calling import call_app, request

CERTIFICATE = (
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alerts"
OTHER_TOPIC = "arn:aws:sns:eu-central-1:666666666666:alerts"
GOVERNMENT_TOPIC = "arn:aws-us-gov:sns:us-gov-west-1:123456789012:alerts"
CHINESE_TOPIC = "arn:aws-cn:sns:cn-north-1:123456789012:alerts"


@cache
def key_and_certificate() -> tuple[rsa.RSAPrivateKey, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key, made.public_bytes(serialization.Encoding.PEM)


def signed(name: str, version: str = "1", **changes: Any) -> dict[str, Any]:
    """Return a recorded message, signed as SNS does it."""
    body = {**fixture("aws-sns", name).body, **changes, "SignatureVersion": version}
    key, _ = key_and_certificate()
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303
    signature = key.sign(signed_text(body), PKCS1v15(), algorithm)
    return {**body, "Signature": base64.b64encode(signature).decode()}


class FakeSns:
    """Answers requests for the certificate and for confirmations, and records them."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.status = 200

    def __call__(self, address: str) -> tuple[int, bytes]:
        self.fetched.append(address)
        return self.status, key_and_certificate()[1] if address.endswith(".pem") else b"<xml/>"


@pytest.fixture
def sns(bellhop: Bellhop) -> FakeSns:
    found = FakeSns()
    bellhop.services.sns.fetch = found
    return found


def checks(fetch: Fetch, most: int = 8, clock: Callable[[], float] = lambda: 0.0) -> SnsChecks:
    return SnsChecks(fetch, ThreadLimit(most), monotonic=clock)


def post(url: str, body: Any) -> Page:
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
    }
    return request("POST", url, json.dumps(body).encode(), headers)


@pytest.mark.parametrize("version", ["1", "2"])
def test_what_sns_signed_is_taken(bellhop: Bellhop, sns: FakeSns, version: str) -> None:
    url = create_webhook(bellhop, "aws-sns")

    assert post(url, signed("alarm", version)).status == 200
    assert post(url, signed("ok", version)).status == 200

    assert [content["severity"] for content, _ in accepted(bellhop)] == ["error", "success"]
    assert sns.fetched == [CERTIFICATE], "the certificate is kept"


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "changes",
    [
        {"Message": "another"},
        {"Message": "\ud800"},
        {"Message": "\x00"},
        {"Message": ["another"]},
        {"MessageId": {}},
        {"Type": []},
        {"TopicArn": 7},
        {"Subject": "another"},
        {"TopicArn": "arn:aws:sns:eu-central-1:1:other"},
        {"Type": "SubscriptionConfirmation"},
        {"Signature": ""},
        {"Signature": "no base64"},
        {"SignatureVersion": "2"},
        {"SignatureVersion": "3"},
        {"SigningCertURL": "https://evil.example/SimpleNotificationService-0.pem"},
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com/x.pem"},
        {"SigningCertURL": None},
    ],
)
def test_anything_else_is_refused(bellhop: Bellhop, sns: FakeSns, changes: Any) -> None:
    body = {**signed("alarm"), **changes}

    answer = post(create_webhook(bellhop, "aws-sns"), body)

    assert (answer.status, answer.text) == (403, "invalid_signature")
    assert accepted(bellhop) == []
    assert set(sns.fetched) <= {CERTIFICATE}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("body", [{}, [], "text", 7, {"AlarmName": "x", "NewStateValue": "OK"}])
def test_so_is_what_has_no_envelope(bellhop: Bellhop, sns: FakeSns, body: Any) -> None:
    assert post(create_webhook(bellhop, "aws-sns"), body).text == "invalid_signature"
    assert sns.fetched == []


def test_a_subscription_is_confirmed_and_shown(bellhop: Bellhop, sns: FakeSns) -> None:
    body = signed("subscription")

    assert post(create_webhook(bellhop, "aws-sns"), body).status == 200

    assert sns.fetched == [CERTIFICATE, body["SubscribeURL"]]
    assert "subscribes this webhook" in accepted(bellhop)[0][0]["title"]


@pytest.mark.sqlite_only
def test_a_subscription_of_a_webhook_that_is_revoked_meanwhile_is_not_confirmed(
    bellhop: Bellhop, sns: FakeSns
) -> None:
    url, body = create_webhook(bellhop, "aws-sns"), json.dumps(signed("subscription")).encode()
    headers = {"Content-Type": "text/plain; charset=UTF-8"}
    revoke = partial(bellhop.services.webhooks.revoke, 1)

    answer = call_app(bellhop, "POST", url, body, headers, before_body=revoke)

    assert answer.status == 404
    assert sns.fetched == []


@pytest.mark.sqlite_only
def test_an_unsigned_subscription_is_not_confirmed(bellhop: Bellhop, sns: FakeSns) -> None:
    assert (
        post(create_webhook(bellhop, "aws-sns"), fixture("aws-sns", "subscription").body).status
        == 403
    )

    assert sns.fetched == [CERTIFICATE]


@pytest.mark.sqlite_only
def test_a_signed_subscription_is_confirmed_at_sns_alone(bellhop: Bellhop, sns: FakeSns) -> None:
    body = signed("subscription", SubscribeURL="http://169.254.169.254/latest/meta-data/")

    assert post(create_webhook(bellhop, "aws-sns"), body).status == 200

    assert sns.fetched == [CERTIFICATE]
    assert "link" not in accepted(bellhop)[0][0]


@pytest.mark.sqlite_only
def test_a_webhook_for_any_tool_fetches_nothing(bellhop: Bellhop, sns: FakeSns) -> None:
    url = create_webhook(bellhop)

    for name in ("alarm", "raw_alarm", "text", "subscription"):
        assert post(url, fixture("aws-sns", name).body).status == 200

    assert sns.fetched == []
    link = accepted(bellhop)[-1][0]["link"]
    assert link.startswith("https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription")


@pytest.mark.sqlite_only
@pytest.mark.parametrize("name", ["alarm", "subscription"])
def test_while_sns_does_not_answer_it_is_to_send_again(
    bellhop: Bellhop, sns: FakeSns, name: str
) -> None:
    sns.status = 500

    answer = post(create_webhook(bellhop, "aws-sns"), signed(name))

    assert (answer.status, answer.text) == (503, "service_unavailable")
    assert accepted(bellhop) == []


def test_no_redirect_is_taken_for_a_certificate() -> None:
    def redirect(_address: str) -> tuple[int, bytes]:
        return 302, key_and_certificate()[1]

    with pytest.raises(SnsUnreachableError):
        checks(redirect).verify(1, signed("alarm"))


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/https://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/x.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/x.pem",
        "https://user@sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.evil.example.amazonaws.com/x.pem",
        "https://s3.eu-central-1.amazonaws.com/bucket/x.pem",
        "https://bucket.s3.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com\\@evil.example/x.pem",
        "https://sns.eu-central-1.amazonaws.com/ x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://sns.amazonaws.com/x.pem",
        # Buckets of Amazon S3 with the name "sns".
        CERTIFICATE.replace("eu-central-1", "s3"),
        CERTIFICATE.replace("eu-central-1", "s3-eu-central-1"),
        CERTIFICATE.replace("eu-central-1", "s3-accelerate"),
        CERTIFICATE.replace("eu-central-1", "s3-website-us-east-1"),
        CERTIFICATE.replace("eu-central-1", "s3.eu-central-1"),
        CERTIFICATE.replace("eu-central-1", "s3.dualstack.eu-central-1"),
        # Regions that are not the topic's.
        CERTIFICATE.replace("eu-central-1", "us-east-1"),
        CERTIFICATE.replace("eu-central-1", "cn-north-1"),
        CERTIFICATE.replace(".com/", ".com.cn/"),
        "https://169.254.169.254/x.pem",
        "file:///etc/passwd.pem",
        "https://sns.eu-central-1.amazonaws.com/" + "x" * 2000 + ".pem",
        "",
    ],
)
def test_no_other_address_is_fetched(address: str) -> None:
    fetched: list[str] = []

    def fetch(url: str) -> tuple[int, bytes]:
        fetched.append(url)
        return 200, b""

    made = checks(fetch)

    assert not is_sns_address(address, TOPIC)
    assert not made.verify(1, signed("alarm", SigningCertURL=address))
    made.confirm(1, signed("subscription", SubscribeURL=address))
    assert fetched == []


@pytest.mark.parametrize(
    ("host", "topic"),
    [
        ("sns.eu-central-1.amazonaws.com", TOPIC),
        ("sns.us-gov-west-1.amazonaws.com", GOVERNMENT_TOPIC),
        ("sns.cn-north-1.amazonaws.com.cn", CHINESE_TOPIC),
    ],
)
def test_addresses_of_sns(host: str, topic: str) -> None:
    certificate_address = CERTIFICATE.replace("sns.eu-central-1.amazonaws.com", host)

    assert is_certificate_address(certificate_address, topic)
    assert is_sns_address(f"https://{host}/?Action=ConfirmSubscription", topic)
    others = {TOPIC, GOVERNMENT_TOPIC, CHINESE_TOPIC} - {topic}
    assert not any(is_sns_address(certificate_address, other) for other in others)


@pytest.mark.parametrize("region", ["s3", "s3-us-west-2", "s3-accelerate", "cn-north-1.s3"])
def test_a_topic_names_a_region(region: str) -> None:
    """A bucket named "sns" would otherwise be an address of such a topic."""
    topic = TOPIC.replace("eu-central-1", region)
    address = CERTIFICATE.replace("eu-central-1", region)
    fetched: list[str] = []

    def fetch(url: str) -> tuple[int, bytes]:
        fetched.append(url)
        return 200, key_and_certificate()[1]

    made = checks(fetch)
    forged = signed("alarm", TopicArn=topic, SigningCertURL=address)

    assert not is_topic(topic)
    assert not is_sns_address(address, topic)
    assert not made.verify(1, forged)
    made.confirm(1, signed("subscription", TopicArn=topic, SubscribeURL=address))
    assert fetched == []


@pytest.mark.parametrize(
    "address",
    [
        "https://sns.eu-central-1.amazonaws.com/?x=.pem",
        f"{CERTIFICATE}?1",
        f"{CERTIFICATE}?",
        f"{CERTIFICATE}/",
        CERTIFICATE.replace(".com/", ".com//"),
        CERTIFICATE.replace(".pem", "x" * 64 + ".pem"),
        CERTIFICATE.replace("0123", "%30123"),
        f"{CERTIFICATE}\n",
    ],
)
def test_a_certificate_has_one_address(address: str) -> None:
    assert not is_certificate_address(address, TOPIC)


class TestTopic:
    """SNS signs for all accounts with the same keys: only one topic is a webhook's."""

    def test_the_first_subscription_is_the_only_one(self, bellhop: Bellhop, sns: FakeSns) -> None:
        url = create_webhook(bellhop, "aws-sns")
        subscription, other = signed("subscription"), signed("subscription", TopicArn=OTHER_TOPIC)

        first, second = post(url, subscription), post(url, other)

        assert first.status == 200
        assert (second.status, second.text) == (403, "invalid_signature")
        assert sns.fetched == [CERTIFICATE, subscription["SubscribeURL"]]
        [webhook] = bellhop.services.webhooks.of_team(ACME)
        assert webhook.topic_arn == TOPIC
        # SNS sends it once more if it got no answer.
        assert post(url, subscription).status == 200

    def test_no_other_topic_ends_an_incident(self, bellhop: Bellhop, sns: FakeSns) -> None:
        url = create_webhook(bellhop, "aws-sns")
        assert post(url, signed("alarm")).status == 200

        answers = [post(url, signed(name, TopicArn=OTHER_TOPIC)) for name in ("ok", "text")]

        assert [answer.text for answer in answers] == ["invalid_signature"] * 2
        assert [content["severity"] for content, _ in accepted(bellhop)] == ["error"]
        bellhop.services.audit.flush()
        [event] = bellhop.services.audit.find(action=AuditAction.WEBHOOK_REJECTED)
        assert (event.credential, event.count) == ("webhook:1", 2)

    def test_another_topic_causes_no_request(self, bellhop: Bellhop, sns: FakeSns) -> None:
        url = create_webhook(bellhop, "aws-sns", topic_arn=TOPIC)

        assert post(url, signed("subscription", TopicArn=OTHER_TOPIC)).status == 403

        assert sns.fetched == []
        assert post(url, signed("subscription")).status == 200

    def test_an_unsigned_message_sets_none(self, bellhop: Bellhop, sns: FakeSns) -> None:
        url = create_webhook(bellhop, "aws-sns")
        forged = {**signed("subscription"), "TopicArn": OTHER_TOPIC}

        assert post(url, forged).status == 403

        assert bellhop.services.webhooks.of_team(ACME)[0].topic_arn is None
        assert post(url, signed("subscription")).status == 200

    def test_of_two_at_the_same_moment_one_is_first(self, bellhop: Bellhop) -> None:
        create_webhook(bellhop, "aws-sns")
        topics = [f"{TOPIC}-{number}" for number in range(4)]
        barrier = Barrier(len(topics))

        def set_topic(topic: str) -> bool:
            barrier.wait(30)
            return bellhop.services.webhooks.set_topic(1, topic)

        with ThreadPoolExecutor(len(topics)) as pool:
            results = dict(zip(topics, pool.map(set_topic, topics), strict=True))

        [webhook] = bellhop.services.webhooks.of_team(ACME)
        assert [topic for topic, is_set in results.items() if is_set] == [webhook.topic_arn]

    @pytest.mark.sqlite_only
    def test_a_revoked_webhook_gets_none(self, bellhop: Bellhop) -> None:
        create_webhook(bellhop, "aws-sns")
        bellhop.services.webhooks.revoke(1)

        with pytest.raises(RevokedError):
            bellhop.services.webhooks.set_topic(1, TOPIC)
        [webhook] = bellhop.services.webhooks.of_team(ACME)
        assert webhook.topic_arn is None

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        "arn",
        [
            "",
            "alerts",
            f"{TOPIC} ",
            f"{TOPIC}\n",
            f" {TOPIC}",
            TOPIC.upper(),
            "arn:aws:sns:eu-central-1:1:alerts",
            "arn:aws:sqs:eu-central-1:123456789012:alerts",
            f"{TOPIC}:c9135db0-26c4-47ec-8998-413945fb5a96",
            "arn:aws:sns:eu-central-1:123456789012:" + "x" * 257,
        ],
    )
    def test_anything_else_is_no_topic(self, bellhop: Bellhop, sns: FakeSns, arn: str) -> None:
        assert not is_topic(arn)
        assert post(create_webhook(bellhop, "aws-sns"), signed("alarm", TopicArn=arn)).status == 403
        assert sns.fetched == []

    @pytest.mark.parametrize(
        "arn", [TOPIC, OTHER_TOPIC, f"{TOPIC}.fifo", GOVERNMENT_TOPIC, CHINESE_TOPIC]
    )
    def test_topics(self, arn: str) -> None:
        assert is_topic(arn)

    @pytest.mark.sqlite_only
    def test_no_template_replaces_the_checks(self, bellhop: Bellhop) -> None:
        create_webhook(bellhop, "aws-sns")

        assert not bellhop.services.webhooks.set_template(1, "{}")

        [webhook] = bellhop.services.webhooks.of_team(ACME)
        assert (webhook.sender, webhook.is_signed) == ("aws-sns", True)


@pytest.mark.sqlite_only
class TestTextReadInTwoWays:
    """A message of another topic, whose text contains the signed text of a message of this one."""

    def forge(self, end: str) -> dict[str, Any]:
        """Return a message that SNS did not send, with the signature of one that it did.

        Args:
            end: the member that has the rest of the signed text.
        """
        ours = {
            "Message": "All is well",
            "MessageId": "1",
            "Timestamp": "2026-03-02T09:30:01.000Z",
            "TopicArn": TOPIC,
            "Type": "Notification",
        }
        names = [*ours][: [*ours].index(end) + 1]
        said = "\n".join(f"{name}\n{ours[name]}" for name in names)
        theirs = signed("text", Message=said.removeprefix("Message\n"), TopicArn=OTHER_TOPIC)
        written = signed_text(theirs).decode()
        rest = written.removeprefix(f"{said}\n")
        if end == "Type":
            given = {**ours, "Type": f"{ours['Type']}\n{rest}".rstrip("\n")}
        else:
            tail = rest[: rest.index("TopicArn\n")]
            given = {**ours, end: f"{ours[end]}\n{tail}".rstrip("\n"), "TopicArn": OTHER_TOPIC}
            given = {name: given[name] for name in ours if name in (*names, "TopicArn", "Type")}
        kept = {name: theirs[name] for name in ("Signature", "SigningCertURL", "SignatureVersion")}
        forged = {**given, **kept}
        assert signed_text(forged) == signed_text(theirs)
        assert is_signed(forged, key_and_certificate()[1])
        return forged

    def test_is_not_of_this_topic(self, bellhop: Bellhop, sns: FakeSns) -> None:
        url = create_webhook(bellhop, "aws-sns", topic_arn=TOPIC)

        assert post(url, self.forge("Type")).status == 403
        assert accepted(bellhop) == []

    @pytest.mark.parametrize("end", ["MessageId", "Timestamp"])
    def test_nor_may_its_own_be_read_so(self, bellhop: Bellhop, sns: FakeSns, end: str) -> None:
        url = create_webhook(bellhop, "aws-sns", topic_arn=OTHER_TOPIC)

        assert post(url, self.forge(end)).status == 403
        assert accepted(bellhop) == []


def certificate(number: int) -> str:
    return CERTIFICATE.replace("0123", f"{number:04}")


class SlowSns:
    """Answers nothing before `answer` is set, and counts those who wait."""

    def __init__(self, awaited: int) -> None:
        self.answer = Event()
        self.are_waiting = Event()
        self.most = 0
        self._awaited = awaited
        self._waiting = 0
        self._lock = Lock()

    def __call__(self, _address: str) -> tuple[int, bytes]:
        with self._lock:
            self._waiting += 1
            self.most = max(self.most, self._waiting)
            if self._waiting >= self._awaited:
                self.are_waiting.set()
        self.answer.wait(30)
        with self._lock:
            self._waiting -= 1
        return 200, key_and_certificate()[1]


class TestFewFetches:
    """Fetches for messages that are not verified yet."""

    def test_a_webhook_has_one_at_a_time(self) -> None:
        slow = SlowSns(1)
        made = checks(slow)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(made.verify, 1, signed("alarm"))
            assert slow.are_waiting.wait(30)

            with pytest.raises(SnsUnreachableError):
                made.verify(1, signed("alarm", SigningCertURL=certificate(1)))

            slow.answer.set()
            assert first.result()
        assert slow.most == 1
        assert made.verify(1, signed("alarm", SigningCertURL=certificate(1)))

    def test_another_webhook_does_not_wait_for_it(self) -> None:
        slow = SlowSns(2)
        made = checks(slow)
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(made.verify, id_, signed("alarm")) for id_ in (1, 2)]
            assert slow.are_waiting.wait(30)
            slow.answer.set()
            assert [one.result() for one in both] == [TOPIC, TOPIC]

    def test_nor_does_a_message_with_a_known_certificate(self) -> None:
        slow = SlowSns(1)
        made = checks(slow)
        slow.answer.set()
        assert made.verify(1, signed("alarm"))
        slow.answer.clear()
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(made.verify, 1, signed("alarm", SigningCertURL=certificate(1)))
            assert slow.are_waiting.wait(30)

            assert made.verify(1, signed("alarm"))

            slow.answer.set()
            assert other.result()

    @pytest.mark.parametrize("answer", [404, 500, OSError(), TimeoutError(), ValueError()])
    def test_a_failed_one_is_not_repeated_at_once(self, answer: int | Exception) -> None:
        fetched, now = [], [0.0]

        def fetch(address: str) -> tuple[int, bytes]:
            fetched.append(address)
            if isinstance(answer, Exception):
                raise answer
            return answer, b""

        made = checks(fetch, clock=lambda: now[0])
        for _ in range(3):
            with pytest.raises(SnsUnreachableError):
                made.verify(1, signed("alarm"))
        with pytest.raises(SnsUnreachableError):
            made.verify(2, signed("alarm"))
        assert len(fetched) == 1

        now[0] = FAILED_FOR_SECONDS
        with pytest.raises(SnsUnreachableError):
            made.verify(1, signed("alarm"))
        assert len(fetched) == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"Type": "Other"},
            {"TopicArn": None},
            {"TopicArn": "alerts"},
            {"Signature": ""},
            {"Signature": None},
            {"Signature": "A" * 4000},
            {"MessageId": "1\nTimestamp"},
        ],
    )
    def test_a_message_that_cannot_be_of_sns_causes_none(self, changes: Any) -> None:
        fetched: list[str] = []

        def fetch(address: str) -> tuple[int, bytes]:
            fetched.append(address)
            return 200, key_and_certificate()[1]

        assert not checks(fetch).verify(1, {**signed("alarm"), **changes})
        assert fetched == []


@pytest.mark.sqlite_only
def test_a_slow_sns_holds_a_quarter_of_the_threads(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, web_threads=8) as bellhop:
        slow = bellhop.services.sns.fetch = SlowSns(2)
        urls = [create_webhook(bellhop, "aws-sns") for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            posts = [
                pool.submit(post, url, signed("alarm", SigningCertURL=certificate(number)))
                for number, url in enumerate(urls)
            ]
            assert slow.are_waiting.wait(30)
            refused = [one.result().status for one in islice(as_completed(posts, 30), 4)]
            slow.answer.set()
            statuses = sorted(one.result().status for one in posts)

        assert slow.most == 2
        assert refused == [503] * 4
        assert statuses == [200, 200, 503, 503, 503, 503]


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/inside")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b"x" * (10 * MOST_BYTES if self.path == "/large" else 5)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class TestFetching:
    """The client that fetches: it is that of callbacks, on which other tests bear too."""

    @pytest.fixture
    def address(self) -> Any:
        with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown()

    def client(self, http: HttpLoop, *networks: str) -> CallbackClient:
        return CallbackClient(
            http, ThreadPoolExecutor(1), networks=[ip_network(one) for one in networks], timeout=5
        )

    def test_no_redirect_is_followed(self, http: HttpLoop, address: str) -> None:
        assert self.client(http, "127.0.0.0/8").get(f"{address}/redirect") == (302, b"")

    def test_the_answer_is_read(self, http: HttpLoop, address: str) -> None:
        assert self.client(http, "127.0.0.0/8").get(address) == (200, b"xxxxx")

    def test_a_large_answer_is_broken_off(self, http: HttpLoop, address: str) -> None:
        with pytest.raises(OSError, match="Payload"):
            self.client(http, "127.0.0.0/8").get(f"{address}/large")

    def test_no_private_address_is_called(self, http: HttpLoop, address: str) -> None:
        with pytest.raises((OSError, ValueError)):
            self.client(http).get(address)


@pytest.mark.sqlite_only
def test_the_app_fetches_from_public_addresses_alone(bellhop: Bellhop) -> None:
    """A name of SNS that leads inside, by a DNS of someone's own, is not called."""
    with pytest.raises((OSError, ValueError)):
        bellhop.services.sns.fetch("https://127.0.0.1/")
    assert bellhop.services.webhooks.of_team(ACME) == []
