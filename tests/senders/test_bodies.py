"""The latest bodies of a webhook: recorded with their notifications, encrypted, and deleted."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bolt_app.credentials.webhook_bodies import KEPT, LENGTH, LIFETIME, RecordedBody
from bolt_app.db.models import WebhookBody
from tests.commands import assert_failed, run
from tests.conftest import FakeClock
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, Page
from tests.senders.fixtures import fixture
from tests.web.calling import put_bot, request
from tests.web.multipart import status_and_memory

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def create_webhook(bellhop: Bellhop, **given: Any) -> str:
    put_bot(bellhop)
    return bellhop.services.webhooks.create(ACME, "tools", ["#ops"], **given)


def post(url: str, body: Any) -> Page:
    return request("POST", url, body if isinstance(body, bytes) else json.dumps(body).encode())


def recorded(bellhop: Bellhop, webhook_id: int = 1) -> list[RecordedBody]:
    return bellhop.services.webhook_bodies.of_webhook(webhook_id)


def stored(bellhop: Bellhop) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.count()).select_from(WebhookBody)).one()


def test_the_last_ten_bodies_are_kept(bellhop: Bellhop) -> None:
    url, other = create_webhook(bellhop), create_webhook(bellhop)
    post(other, {"text": "another webhook's"})

    for number in range(KEPT + 3):
        assert post(url, {"text": f"message {number}"}).status == 200

    texts = [one.value["text"] for one in recorded(bellhop)]
    assert texts == [f"message {number}" for number in reversed(range(3, KEPT + 3))]
    assert [one.number for one in recorded(bellhop)] == [*range(KEPT + 3, 3, -1)]
    assert [one.value["text"] for one in recorded(bellhop, 2)] == ["another webhook's"]
    assert stored(bellhop) == KEPT + 1


def test_concurrent_bodies_are_all_recorded(bellhop: Bellhop) -> None:
    url = create_webhook(bellhop)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: post(url, {"text": str(n)}), range(KEPT)))

    assert {answer.status for answer in answers} == {200}
    assert sorted(int(one.value["text"]) for one in recorded(bellhop)) == [*range(KEPT)]


def test_a_body_is_recorded_with_its_problem(bellhop: Bellhop) -> None:
    url = create_webhook(bellhop)
    post(url, fixture("alertmanager", "firing").body)
    post(url, {"host": "db1"})

    unknown, known = recorded(bellhop)

    assert (unknown.value, unknown.problem) == ({"host": "db1"}, "unknown format")
    assert unknown.received_at == bellhop.clock()
    assert known.problem is None
    [webhook] = bellhop.services.webhooks.of_team(ACME)
    assert (webhook.unrecognized, webhook.unrecognized_at) == (1, bellhop.clock())


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("raw", "headers", "value"),
    [
        (b"plain text", {}, "plain text"),
        (b"a=1&b=2", FORM, {"a": "1", "b": "2"}),
        ("Grüße 🔔".encode(), {}, "Grüße 🔔"),
        (b'{"a": "x\\u0000y"}', {}, {"a": "xy"}),
        (b"[1, 2]", {}, [1, 2]),
    ],
)
def test_any_body_is_recorded_as_it_was_read(
    bellhop: Bellhop, raw: bytes, headers: dict[str, str], value: Any
) -> None:
    assert request("POST", create_webhook(bellhop), raw, headers).status == 200

    assert [one.value for one in recorded(bellhop)] == [value]


@pytest.mark.sqlite_only
def test_of_a_long_body_the_beginning_is_kept(bellhop: Bellhop) -> None:
    url = create_webhook(bellhop)

    assert post(url, {"text": "x" * 2 * LENGTH, "after": "y"}).status == 200

    [one] = recorded(bellhop)
    assert one.is_cut
    assert len(one.written) == LENGTH
    assert one.value is None


@pytest.mark.sqlite_only
@pytest.mark.parametrize("raw", [b"{}", b"", b'{"text": ""}'])
def test_no_rejected_body_is_recorded(bellhop: Bellhop, raw: bytes) -> None:
    assert post(create_webhook(bellhop), raw).status == 400

    assert stored(bellhop) == 0


@pytest.mark.sqlite_only
def test_no_body_without_a_valid_signature_is_recorded(bellhop: Bellhop) -> None:
    url = create_webhook(bellhop, sender="github", signing_secret="secret")

    assert post(url, {"action": "opened"}).status == 403

    assert stored(bellhop) == 0


def test_bodies_are_encrypted_in_the_database(bellhop: Bellhop) -> None:
    post(create_webhook(bellhop), {"password": "hunter2"})

    with bellhop.services.database.reading_connection() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM webhook_bodies").all()

    assert "hunter2" not in str(rows)
    assert "unknown" not in str(rows)
    assert "hunter2" not in repr(recorded(bellhop))


class TestDeletion:
    def test_after_a_day(self, bellhop: Bellhop, clock: FakeClock) -> None:
        url = create_webhook(bellhop)
        post(url, {"text": "earlier"})
        clock.advance(LIFETIME.total_seconds() / 2)
        post(url, {"text": "later"})
        clock.advance(LIFETIME.total_seconds() / 2 + 1)

        assert [one.value["text"] for one in recorded(bellhop)] == ["later"]
        assert bellhop.services.webhook_bodies.delete_expired() == 1
        assert stored(bellhop) == 1

    def test_the_place_of_a_deleted_body_is_used_again(
        self, bellhop: Bellhop, clock: FakeClock
    ) -> None:
        url = create_webhook(bellhop)
        post(url, {"text": "earlier"})
        clock.advance(timedelta(days=2).total_seconds())
        bellhop.services.webhook_bodies.delete_expired()

        for number in range(KEPT + 1):
            post(url, {"text": str(number)})

        assert [one.value["text"] for one in recorded(bellhop)] == [
            str(number) for number in range(KEPT, 0, -1)
        ]

    def test_with_the_webhook(self, bellhop: Bellhop) -> None:
        post(create_webhook(bellhop), {"text": "Hi"})
        post(create_webhook(bellhop), {"text": "Hi"})

        bellhop.services.webhooks.revoke(1)

        assert recorded(bellhop) == []
        assert stored(bellhop) == 1

    def test_with_the_installation(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        post(bellhop.services.webhooks.create(ACME, "", ["#ops"]), {"text": "Hi"})

        bellhop.slack.uninstall(ACME)
        bellhop.settle()

        assert stored(bellhop) == 0


@pytest.mark.sqlite_only
class TestCommand:
    def test_it_shows_the_bodies_latest_first(self, bellhop: Bellhop) -> None:
        url = create_webhook(bellhop)
        post(url, {"text": "Hi"})
        post(url, {"host": "db1 \x1b[2J Grüße"})

        shown = run(bellhop, "webhook", "bodies", "1")

        now: datetime = bellhop.clock()
        assert shown.stdout == (
            f"#2  {now:%Y-%m-%d %H:%M:%S} UTC  unknown format\n"
            '{\n  "host": "db1 \\u001b[2J Gr\\u00fc\\u00dfe"\n}\n'
            f"#1  {now:%Y-%m-%d %H:%M:%S} UTC\n"
            '{\n  "text": "Hi"\n}\n'
        )

    def test_without_bodies_it_says_so(self, bellhop: Bellhop) -> None:
        create_webhook(bellhop)

        shown = run(bellhop, "webhook", "bodies", "1")

        assert (shown.exit_code, shown.stdout) == (0, "")
        assert shown.stderr == "No bodies in the last 24 hours.\n"

    def test_an_unknown_webhook_is_an_error(self, bellhop: Bellhop) -> None:
        assert_failed(run(bellhop, "webhook", "bodies", "7"), "Webhook 7 does not exist.")


@pytest.mark.sqlite_only
def test_a_body_with_a_long_name_needs_little_memory(bellhop: Bellhop) -> None:
    """The name was part of the path of each value below it."""
    put_bot(bellhop)
    url = bellhop.services.webhooks.create(ACME, "", [GENERAL])
    values = {str(number): "x" for number in range(399)}
    body = json.dumps({"a" * 250_000 + "\U0001f514": values}, ensure_ascii=False).encode()

    status, peak = status_and_memory(bellhop.app, url, body, {"Content-Type": "application/json"})

    assert status == 200
    assert peak < 50 * len(body)
