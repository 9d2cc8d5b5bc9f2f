"""The schema of a notification: it accepts what can be sent, and explains every rejection."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bolt_app.notifications.content.errors import problems_of
from bolt_app.notifications.content.schema import NotificationRequest, read_batch, read_one
from tests.property import examples

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
    | st.sampled_from(["#general", "new", "error", "https://a.example", "1.1", "a\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from([*NotificationRequest.model_fields, "other"]), VALUES, max_size=8
)
GOOD = st.fixed_dictionaries(
    {"to": st.just("#general"), "text": st.text(min_size=1, max_size=30).map("x".__add__)},
    optional={
        "blocks": st.lists(st.dictionaries(st.text(max_size=9), VALUES), max_size=2),
        "attachments": st.lists(st.dictionaries(st.text(max_size=9), VALUES), max_size=2),
        "priority": st.integers(-9, 9),
        "delay": st.floats(0, 1000),
        "send_at": st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    },
)


@given(VALUES | DOCUMENTS | GOOD)
@settings(max_examples=examples(300))
def test_anything_is_accepted_or_rejected_field_by_field(document: Any) -> None:
    try:
        request = read_one(document, NOW)
    except ValidationError as error:
        problems = problems_of(error)
        assert problems
        assert all(one.detail for one in problems)
        return
    # An accepted notification can be stored and read back unchanged.
    content = request.content()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert "\\u0000" not in json.dumps(content)
    assert NOW <= request.due_at(NOW) <= NOW + timedelta(days=120)
    assert request.due_at(NOW).utcoffset() == timedelta(0)


@given(VALUES | st.lists(DOCUMENTS, max_size=3))
def test_so_is_any_batch(document: Any) -> None:
    with suppress(ValidationError):
        assert 1 <= len(read_batch(document, NOW)) <= 100


def test_a_name_or_a_list_of_names() -> None:
    assert read_one({"to": "#General", "text": "x"}, NOW).to == ["#general"]
    assert read_one({"to": ["#a", "@b@c.d"], "text": "x"}, NOW).to == ["#a", "@b@c.d"]


def test_the_far_limit_is_judged_by_the_clock_that_was_given() -> None:
    said = {"to": "#a", "text": "x", "send_at": (NOW + timedelta(days=120)).isoformat()}

    assert read_one(said, NOW).due_at(NOW) == NOW + timedelta(days=120)
    with pytest.raises(ValidationError):
        read_one(said, NOW - timedelta(seconds=1))


def test_a_moment_that_has_passed_means_now() -> None:
    said = {"to": "#a", "text": "x", "send_at": "2020-01-01T00:00:00+02:00"}

    assert read_one(said, NOW).due_at(NOW) == NOW


def test_only_given_members_are_stored() -> None:
    said = {"to": "#a", "text": "x", "title": "", "severity": None, "mrkdwn": True, "priority": 3}

    assert read_one(said, NOW).content() == {"text": "x"}
