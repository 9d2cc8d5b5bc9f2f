"""Webhook payloads: any payload is accepted, or rejected with one of Slack's codes."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.content.webhook_format import (
    PayloadError,
    payload_of,
    read_json,
    read_webhook,
)
from tests.property import examples

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
TEXT = st.text(st.characters(), max_size=20)  # lone surrogates and NUL among them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
PAYLOADS = st.dictionaries(
    st.sampled_from(
        [
            "text",
            "blocks",
            "attachments",
            "thread_ts",
            "username",
            "icon_emoji",
            "icon_url",
            "channel",
            "link_names",
            "mrkdwn",
            "unfurl_links",
            "unfurl_media",
            "response_type",
        ]
    ),
    JSON
    | st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=3)
    | st.sampled_from(["https://a.example/i.png", "http://", "https://[", "1.1", "x" * 50_000]),
)


def take(body: bytes) -> NotificationRequest | None:
    """Read a body; return None or Slack's code of its error."""
    try:
        return read_webhook(payload_of(body), ["#ops"], NOW)
    except PayloadError as error:
        code = error.code
    assert code in ("invalid_payload", "no_text")
    return None


def assert_storable(request: NotificationRequest) -> None:
    written = json.dumps(request.content(), allow_nan=False)
    assert "\\u0000" not in written
    json.dumps(request.content(), ensure_ascii=False).encode()
    assert request.to == ["#ops"]


@given(PAYLOADS | JSON)
@settings(max_examples=examples(300))
def test_any_json_is_accepted_or_rejected(payload: Any) -> None:
    taken = take(json.dumps(payload).encode())

    if taken is not None:
        assert_storable(taken)


@given(PAYLOADS, TEXT.filter(str.strip).map(lambda text: "x" + text))
def test_a_payload_with_a_text_is_never_lost(payload: dict[str, Any], text: str) -> None:
    """The rest may be anything: NaN, lone surrogates, wrong types."""
    body = json.dumps({**payload, "text": text}).replace("NaN", "0").replace("Infinity", "1e999")

    taken = take(body.encode())

    assert taken is not None
    assert taken.text.startswith("x")
    assert_storable(taken)


@given(st.binary(max_size=200) | st.binary(max_size=50).map(b'{"text": "'.__add__))
def test_any_bytes_are_accepted_or_rejected(body: bytes) -> None:
    take(body)


@given(st.text())
def test_any_form_field_is_accepted_or_rejected(text: str) -> None:
    with suppress(PayloadError):
        assert_storable(read_webhook(read_json(text), ["#ops"], NOW))
