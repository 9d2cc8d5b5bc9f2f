"""Bodies like those of the known senders, but not quite: none is lost, none is an error of ours."""

from __future__ import annotations

import copy
import json
import re
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bolt_app.credentials.webhooks import CUSTOM
from bolt_app.db.models import Notification
from bolt_app.senders.registry import known_senders
from tests.people import ACME
from tests.property import examples
from tests.running import Bellhop
from tests.senders.fixtures import fixtures
from tests.senders.test_templates import BODY, TEMPLATE
from tests.web.calling import call_app, put_bot

pytestmark = [pytest.mark.sqlite_only, pytest.mark.long, pytest.mark.slow]
# More than a request may have.
MOST_BYTES = 1024 * 1024

HOSTILE = st.sampled_from(
    [
        "<!channel>",
        "<!subteam^S0123>",
        "<@U0ACME0001>",
        "<https://evil.example|https://acme.example>",
        "javascript:alert(1)",
        "http://[",
        "https://evil.example/|<!here>",
        "```",
        "a\0b",
        "\ud800",
        "x" * 50_000,
        "\n" * 3000,
        "9" * 400,
        10**400,
        2**63,
        "",
        " ",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | HOSTILE | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_MARKUP = re.compile(r"<([^<>]*)>")


def members(value: Any) -> list[Any]:
    """Return the names or positions of what is directly inside a value."""
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def place(body: Any, data: st.DataObject) -> tuple[Any, Any]:
    """Return a container in a body, and the name or position of a member of it.

    Each step inward is as likely as a stop, so that the many members that real bodies have deep
    inside do not hide the few that mappings read.
    """
    parent, name = body, data.draw(st.sampled_from(members(body)))
    while members(parent[name]):
        if data.draw(st.booleans()):
            break
        parent = parent[name]
        name = data.draw(st.sampled_from(members(parent)))
    return parent, name


def mutated(body: Any, data: st.DataObject) -> Any:
    """Return a body of which some parts are replaced, missing or doubled."""
    changed = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(1, 4))):
        if not members(changed):
            return changed
        parent, name = place(changed, data)
        kind = data.draw(st.sampled_from(["replace", "replace", "remove", "many"]))
        if kind == "replace":
            parent[name] = data.draw(JSON)
        elif kind == "many":
            parent[name] = [parent[name]] * 50
        else:
            del parent[name]
    return changed


@pytest.mark.parametrize("sender", known_senders())
def test_no_body_is_lost(bellhop: Bellhop, sender: str) -> None:
    put_bot(bellhop)
    # One for SNS would take only what SNS has signed.
    names = ["auto"] if sender == "aws-sns" else ["auto", sender]
    urls = [bellhop.services.webhooks.create(ACME, "", ["#ops"], sender=one) for one in names]
    recorded = list(fixtures(sender))

    def accepted() -> int:
        with bellhop.services.database.reading() as session:
            return session.scalars(select(func.count()).select_from(Notification)).one()

    @settings(
        max_examples=examples(20),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.data())
    def post(data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(recorded))
        body = mutated(one.body, data)
        raw = json.dumps(body).encode()
        assume(len(raw) < MOST_BYTES)
        before = accepted()

        answer = call_app(bellhop, "POST", data.draw(st.sampled_from(urls)), raw, one.headers)

        if answer.status == 400:
            # Only a body that says nothing, or that is not in the one format that is taken.
            assert answer.text in ("no_text", "invalid_payload")
            assert not body or sender == "slack"
            return
        assert (answer.status, answer.text) == (200, "ok")
        assert accepted() > before
        if sender != "slack":
            assert_tame(bellhop)

    post()


def test_no_body_is_lost_by_a_template(bellhop: Bellhop) -> None:
    put_bot(bellhop)
    make = bellhop.services.webhooks.create
    url = make(ACME, "", ["#ops"], sender=CUSTOM, template=TEMPLATE)
    numbers = count(1)

    @settings(
        max_examples=examples(40),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.data())
    def post(data: st.DataObject) -> None:
        raw = json.dumps(data.draw(JSON | st.just(mutated(BODY, data)))).encode()
        assume(len(raw) < MOST_BYTES)

        answer = call_app(bellhop, "POST", url, raw)

        assert (answer.status, answer.text) == (200, "ok")
        with bellhop.services.database.reading() as session:
            accepted = session.scalars(select(func.count()).select_from(Notification)).one()
        assert accepted == next(numbers)
        assert_tame(bellhop)

    post()


def assert_tame(bellhop: Bellhop) -> None:
    """Check that the newest notification links only to web addresses, and mentions nobody."""
    with bellhop.services.database.reading() as session:
        newest = select(Notification.content).order_by(Notification.id.desc()).limit(1)
        content = session.scalars(newest).one()
    if "attachments" in content or "blocks" in content:
        return
    for found in _MARKUP.findall(content.get("text", "")):
        assert found.startswith(("http://", "https://")), content["text"]
