"""Nothing in a request has an effect before its signature is verified."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from bolt_app.slack.verification import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    RequestVerifier,
    SignatureHeaders,
)
from tests.conftest import FakeClock
from tests.people import ANN
from tests.running import SIGNING_SECRET, Bellhop, serving
from tests.slack.signing import Bystander, command_body, post, post_signed, signed

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def bystander() -> Iterator[Bystander]:
    found = Bystander()
    with serving(found) as (url, _server):
        found.url = url
        yield found


DIGITS = "1" * 5000
HEX = "v0=" + "a" * 64
# Each with `{now}` for Slack's timestamp and `{good}` for its signature.
MALFORMED = {
    "no headers": [],
    "no signature": [("X-Slack-Request-Timestamp", "{now}")],
    "no timestamp": [("X-Slack-Signature", "{good}")],
    "empty": [("X-Slack-Request-Timestamp", ""), ("X-Slack-Signature", "")],
    **{
        f"timestamp {value[:8]!r}": [
            ("X-Slack-Request-Timestamp", value),
            ("X-Slack-Signature", "{good}"),
        ]
        for value in ("abc", "nan", "inf", "-1", "1e9", DIGITS, "٣٣٣", "{now}.0", "+{now}", "0x1")
    },
    **{
        f"signature {value[:8]!r}": [
            ("X-Slack-Request-Timestamp", "{now}"),
            ("X-Slack-Signature", value),
        ]
        for value in ("é" * 67, "v0=", "v0=é", HEX, HEX.upper(), HEX + "a", "v1=" + HEX[3:], "nan")
    },
    "two timestamps": [
        ("X-Slack-Request-Timestamp", "{now}"),
        ("X-Slack-Request-Timestamp", "{now}"),
        ("X-Slack-Signature", "{good}"),
    ],
    "two signatures": [
        ("X-Slack-Request-Timestamp", "{now}"),
        ("X-Slack-Signature", HEX),
        ("X-Slack-Signature", "{good}"),
    ],
}


@on_sqlite
@pytest.mark.parametrize("headers", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_signature_is_refused_and_calls_nobody(
    bellhop: Bellhop, bystander: Bystander, headers: list[tuple[str, str]]
) -> None:
    body = command_body(response_url=f"{bystander.url}/hit")
    good = signed(bellhop, body)
    known = {"{now}": good["X-Slack-Request-Timestamp"], "{good}": good["X-Slack-Signature"]}
    sent = []
    for name, value in headers:
        for mark, real in known.items():
            value = value.replace(mark, real)
        sent.append((name, value))

    answer = post(bellhop, body, sent)

    assert answer.status == 401
    assert answer.headers["Connection"] == "close"
    assert answer.text == ""
    bellhop.services.background.shutdown(wait=True)
    assert bystander.calls == []


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        urlencode({"ssl_check": "1", "token": "x"}).encode(),
        json.dumps({"type": "url_verification", "challenge": "c"}).encode(),
    ],
)
def test_checks_of_slack_are_signed_too(bellhop: Bellhop, body: bytes) -> None:
    assert post(bellhop, body, []).status == 401
    assert post_signed(bellhop, body).status == 200


@on_sqlite
def test_a_changed_body_is_refused(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    body = command_body()
    headers = list(signed(bellhop, body).items())

    assert post(bellhop, body + b"&x=1", headers).status == 401
    assert post(bellhop, body, headers).status == 200


@on_sqlite
def test_the_age_is_measured_by_the_clock(bellhop: Bellhop, clock: FakeClock) -> None:
    body = command_body()
    headers = list(signed(bellhop, body).items())
    clock.advance(299)
    assert post(bellhop, body, headers).status == 200
    clock.advance(2)
    assert post(bellhop, body, headers).status == 401
    clock.advance(-602)
    assert post(bellhop, body, headers).status == 401


@on_sqlite
def test_a_large_body_is_refused(bellhop: Bellhop) -> None:
    body = command_body(text="x" * 1024 * 1024)

    answer = post(bellhop, body, list(signed(bellhop, body).items()))

    assert answer.status == 413


@on_sqlite
def test_a_wrong_secret_is_named_once_and_counted(
    bellhop: Bellhop, caplog: pytest.LogCaptureFixture
) -> None:
    body = command_body(text="canary")
    headers = list(signed(bellhop, body, secret="another").items())
    with caplog.at_level(logging.DEBUG):
        for _ in range(11):
            assert post(bellhop, body, headers).status == 401

    lines = [one for one in caplog.records if "does not match" in one.getMessage()]
    assert [vars(one)["bad_signatures"] for one in lines] == [1, 10]
    assert "SLACK_SIGNING_SECRET is probably wrong" in lines[0].getMessage()
    assert "canary" not in caplog.text


@on_sqlite
def test_a_secret_that_has_matched_is_not_blamed(
    bellhop: Bellhop, caplog: pytest.LogCaptureFixture
) -> None:
    body = command_body()
    post_signed(bellhop, body)
    post(bellhop, body, list(signed(bellhop, body, secret="another").items()))

    assert "SLACK_SIGNING_SECRET is right" in caplog.text


@given(st.lists(st.tuples(st.sampled_from([TIMESTAMP_HEADER, SIGNATURE_HEADER]), st.text())))
def test_no_header_makes_the_verifier_raise(headers: list[tuple[str, str]]) -> None:
    clock = FakeClock()
    verifier = RequestVerifier(SIGNING_SECRET, clock=clock)
    sent = Headers([(name, value.replace("\r", "").replace("\n", "")) for name, value in headers])

    assert verifier.read_headers(sent) is None


@given(st.binary())
def test_no_body_makes_the_verifier_raise(body: bytes) -> None:
    verifier = RequestVerifier(SIGNING_SECRET, clock=FakeClock())

    assert not verifier.verify(SignatureHeaders("1", HEX), body)
