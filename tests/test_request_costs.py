"""A malformed request costs about as much processor time as a good one of its size.

Senders may send a MiB in any field, and what takes a hundred times as long as reading it must not
precede the check of its length. A good body of a MiB takes some 0.05 seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any
from unicodedata import normalize

import pytest
from pydantic import ValidationError

from bolt_app.config import ROOT
from bolt_app.credentials.sources import normal_source
from bolt_app.notifications.content.errors import problems_of
from bolt_app.notifications.content.meaning import FIELDS_READ
from bolt_app.notifications.content.schema import MessageField, NotificationRequest, read_one
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.content.webhook_format import PayloadError
from bolt_app.notifications.intake.planning import Draft
from bolt_app.notifications.intake.sender import Sender
from bolt_app.recipients import normal_address, normal_channel_name, normal_person, normal_topic
from bolt_app.senders.bodies import SLACK, Incoming, body_of, read
from bolt_app.text_forms import comparable, has_visible, lowered, typed, visible
from bolt_app.web.api.schemas import WebhookRequest
from tests.test_linear_time import seconds

NOW = datetime(2026, 1, 31, tzinfo=UTC)
MEBIBYTE = 1024 * 1024
# Each took between 0.3 and 0.5 seconds to normalize.
LONG = {
    "ligatures": "\ufdfa" * (MEBIBYTE // 3),
    "accents": "\u0390" * (MEBIBYTE // 2),
    "marks": ("a" + "\u0301\u0316" * 15) * (MEBIBYTE // 61),
}
# On a machine that takes 0.4 seconds for the first of these texts; others may take longer.
MOST_SECONDS = 0.15
REFERENCE_SECONDS = 0.4

in_each_text = pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())


@cache
def most_seconds() -> float:
    normalized = min(seconds(partial(normalize, "NFKC"), LONG["ligatures"]) for _ in range(2))
    return MOST_SECONDS * max(1, normalized / REFERENCE_SECONDS)


def is_cheap(work: Callable[[str], object], text: str) -> bool:
    # Once more if the machine was busy.
    return any(seconds(work, text) < most_seconds() for _ in range(2))


SHAPES: Mapping[str, Callable[[str], Any]] = {
    "text": lambda text: text,
    "a prefix": lambda text: f"topic:{text}",
    "a name": lambda text: f"#{text}",
    "a list": lambda text: [text],
    "objects": lambda text: [{"name": text, "value": text, "text": text, "color": text}],
    "rows": lambda text: [[text]],
    "one object": lambda text: {"after": 60, "to": text},
    "values": lambda _: [{"a": [0] * (MEBIBYTE // 2)}],
}


@in_each_text
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("model", [NotificationRequest, WebhookRequest, MessageField])
def test_no_field_of_the_http_api_is_expensive(model: Any, shape: str, text: str) -> None:
    for name in model.model_fields:
        given = {"to": "#general", "text": "x", "name": "x"} if model is not MessageField else {}

        def check(text: str, name: str = name, given: dict[str, Any] = given) -> None:
            document = {**given, name: SHAPES[shape](text)}
            try:
                model.model_validate(document, context={"now": NOW})
            except ValidationError as error:
                problems_of(error)

        assert is_cheap(check, text), name


# The members of a webhook's body that have a meaning.
PAYLOADS: Mapping[str, Callable[[str], Any]] = {
    "text": lambda text: {"text": text},
    "color": lambda text: {"attachments": [{"text": "x", "color": text}]},
    "colors": lambda text: {
        "attachments": [{"text": "x", "color": text[: len(text) // 100]} for _ in range(100)]
    },
    "title": lambda text: {"attachments": [{"title": text, "text": "x"}]},
    "field": lambda text: {"attachments": [{"fields": [{"title": text, "value": text}]}]},
    "severities": lambda text: {
        "attachments": [
            {"fields": [{"title": "severity", "value": text[:2000]} for _ in range(2)]}
            for _ in range(100)
        ]
    },
    "fields": lambda text: {
        "attachments": [
            {"fields": [{"title": text[:1], "value": "b"} for _ in range(250)]} for _ in range(100)
        ]
    },
    "blocks": lambda text: {
        "blocks": [
            {"type": "section", "fields": [{"type": "mrkdwn", "text": f"*severity* {text}"}]}
        ]
    },
    "callback_id": lambda text: {"attachments": [{"text": "x", "callback_id": text}]},
    "another format": lambda text: {text: text, "severity": text, "status": text},
    "no JSON": lambda text: text,
    "only marks": lambda text: "\u200b" * len(text),
}


@in_each_text
@pytest.mark.parametrize("key_field", [None, "host"])
@pytest.mark.parametrize("sender", ["auto", SLACK])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_body_of_a_webhook_is_expensive(
    payload: str, sender: str, key_field: str | None, text: str
) -> None:
    body = PAYLOADS[payload](text)

    def accept(_: str) -> None:
        incoming = Incoming(sender, {}, body, ["#general"], NOW, key_field=key_field)
        try:
            requests = read(incoming).requests
        except PayloadError:
            return
        for request in requests:
            Draft.of(Sender("T1", "hook:1"), request, NOW)

    assert is_cheap(accept, text)


@in_each_text
@pytest.mark.parametrize(
    "read_name",
    [
        *(comparable, has_visible, lowered, typed, visible),
        *(normal_address, normal_channel_name, normal_person, normal_topic, normal_pattern),
        normal_source,
    ],
)
def test_no_name_is_expensive(read_name: Callable[[str], object], text: str) -> None:
    def check(text: str) -> None:
        for start in ("", "#", "topic:", "@"):
            with suppress(ValueError):
                read_name(start + text)

    assert is_cheap(check, text)


def test_texts_are_normalized_in_one_place() -> None:
    """The forms of `text_forms` are limited in length, which Python's are not."""
    sources = (ROOT / "bolt_app").rglob("*.py")
    modules = {path.name for path in sources if re.search(r"\bunicodedata\b", path.read_text())}

    assert modules == {"text_forms.py", "0016_text_forms.py"}


def test_the_first_fields_decide() -> None:
    many = [{"title": str(number), "value": "x"} for number in range(FIELDS_READ - 1)]
    attachments = [{"fields": many}, {"fields": [{"title": "severity", "value": "critical"}] * 2}]

    def severity(attachments: list[dict[str, Any]]) -> object:
        request = read_one({"to": "#general", "text": "x", "attachments": attachments}, NOW)
        return (
            Draft.of(Sender("T1", "hook:1"), request, NOW).row["content"]["derived"].get("severity")
        )

    assert severity(attachments) == "critical"
    assert severity([{"fields": [many[0]]}, *attachments]) is None


def test_values_with_surroundings_are_still_understood() -> None:
    spaces = " " * 10
    body = {
        "severity": f"{spaces}ERROR{spaces}",
        "mode": "\u200bthread",
        "to": f"#general{spaces * 20}",
        "key": "k",
        "text": "x",
    }
    found = read_one(json.loads(json.dumps(body)), NOW)

    assert (found.severity, found.mode, found.to) == ("error", "thread", ["#general"])
    assert body_of(b'{"a": 1}', None) == {"a": 1}
