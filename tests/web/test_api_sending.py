"""The HTTP API: sending notifications, and errors of rejected ones."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from bolt_app.credentials.api_keys import Scope
from bolt_app.credentials.limits import LimitError, LimitReason
from bolt_app.db.models import Delivery, Notification, Webhook
from bolt_app.notifications.content.errors import MOST_PROBLEMS
from bolt_app.notifications.content.schema import read_batch
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake import planning
from bolt_app.notifications.subscriptions.schedules import QuietHours
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.people import ACME, ANN, BETA
from tests.running import Bellhop, Page
from tests.senders.fixtures import fixture
from tests.web.calling import NOTIFICATIONS, caller, put_bot, request

pytestmark = pytest.mark.sqlite_only

HELLO = {"to": "#general", "text": "Hello"}


def count(bellhop: Bellhop, model: Any = Notification) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def faults(answer: Page) -> dict[str, str]:
    """Return the errors by field."""
    assert answer.status == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return {one["field"]: one["detail"] for one in answer.json()["errors"]}


class TestAccepting:
    def test_it_is_stored_and_waits(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)

        answer = ci.send({"to": ["#general", "@Ann@Acme.example"], "text": "Hello"})

        assert answer.status == 202
        body = answer.json()
        assert [(one["to"], one["state"]) for one in body["deliveries"]] == [
            ("#general", "waiting"),
            ("@ann@acme.example", "waiting"),
        ]
        assert body["url"] == answer.headers["Location"]
        assert answer.location == f"{bellhop.url}{NOTIFICATIONS}/{body['id']}"
        shown = ci.get(f"{NOTIFICATIONS}/{body['id']}").json()
        assert shown["content"] == {"text": "Hello"}
        assert shown["source"] == "api_key:1"
        assert [one["id"] for one in shown["deliveries"]] == [
            one["id"] for one in body["deliveries"]
        ]

    def test_it_has_a_page(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        body = ci.send(HELLO).json()

        assert body["page_url"] == f"{bellhop.url}/notifications/{body['id']}"
        assert body["page_url"] == ci.get(f"{NOTIFICATIONS}/{body['id']}").json()["page_url"]

    @pytest.mark.parametrize("is_batch", [False, True])
    def test_held_and_muted_deliveries_are_reported(self, bellhop: Bellhop, is_batch: bool) -> None:
        ci = caller(bellhop)
        hour = bellhop.clock().hour
        quiet = QuietHours(time(hour), time((hour + 2) % 24))
        bellhop.services.preferences.choose(ACME, ANN, NotificationPreferences(quiet, tz="UTC"))
        incident = {"to": "#general", "text": "x", "key": "disk", "actions": ["mute"]}
        id_ = ci.send(incident).json()["id"]
        bellhop.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.MUTE)

        sent = [{"to": [ANN, "#general"], "text": "x"}, {**incident, "mode": "new"}]
        if is_batch:
            bodies = ci.send(sent).json()["notifications"]
        else:
            bodies = [ci.send(one).json() for one in sent]

        states = [[one["state"] for one in body["deliveries"]] for body in bodies]
        assert states == [["held", "waiting"], ["muted"]]
        for body in bodies:
            stored = ci.get(f"{NOTIFICATIONS}/{body['id']}").json()["deliveries"]
            assert [one["state"] for one in stored] == [one["state"] for one in body["deliveries"]]

    @pytest.mark.both_databases
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_a_batch_is_accepted_in_its_order(self, bellhop: Bellhop, wrapped: bool) -> None:
        batch = [{"to": "#general", "text": str(n)} for n in range(100)]

        answer = caller(bellhop).send({"notifications": batch} if wrapped else batch)

        assert answer.status == 202
        assert answer.headers["Location"] is None
        deliveries = [one["deliveries"][0]["id"] for one in answer.json()["notifications"]]
        assert deliveries == sorted(deliveries)
        with bellhop.services.database.reading() as session:
            said = session.scalars(
                select(Notification.content).join(Delivery).order_by(Delivery.id)
            )
            assert [one["text"] for one in said] == [str(n) for n in range(100)]

    def test_a_batch_is_accepted_whole_or_not_at_all(self, bellhop: Bellhop) -> None:
        answer = caller(bellhop).send([HELLO, {"to": ["nowhere"], "text": "x"}, {"to": "#a"}])

        assert list(faults(answer)) == ["[1].to[0]", "[2].text"]
        assert count(bellhop) == 0

    def test_a_topic_reaches_its_subscribers(self, bellhop: Bellhop) -> None:
        for address in ("#ops", "@ann@acme.example", "#general"):
            bellhop.services.subscriptions.subscribe(ACME, address, SubscriptionSpec("Deploys"))
        bellhop.services.subscriptions.subscribe(BETA, "#not-ours", SubscriptionSpec("deploys"))

        answer = caller(bellhop).send({"to": ["topic:DEPLOYS", "#general"], "text": "out"})

        reached = [one["to"] for one in answer.json()["deliveries"]]
        assert reached == ["#ops", "@ann@acme.example", "#general"]

    @pytest.mark.both_databases
    def test_a_batch_may_be_for_the_most_and_deepest_topics(self, bellhop: Bellhop) -> None:
        deep = "/".join("a" * 30)
        bellhop.services.subscriptions.subscribe(ACME, "#ops", SubscriptionSpec("t7/*"))
        batch = [
            {"to": [f"topic:t{n}/{i}/{deep}" for i in range(100)], "text": "x"} for n in range(100)
        ]

        answer = caller(bellhop).send(batch)

        assert answer.status == 202
        reached = [len(one["deliveries"]) for one in answer.json()["notifications"]]
        assert reached == [0] * 7 + [1] + [0] * 92

    def test_a_topic_without_subscriptions_is_reported_as_unrouted(self, bellhop: Bellhop) -> None:
        answer = caller(bellhop).send({"to": "topic:nobody", "text": "hello?"})

        assert answer.status == 202
        assert answer.json()["deliveries"] == []
        assert (count(bellhop), count(bellhop, Delivery)) == (1, 0)

    def test_every_field_is_stored_unchanged(self, bellhop: Bellhop) -> None:
        content = {
            "text": "*Checkout* is down \U0001f6a8",
            "title": "Checkout",
            "severity": "critical",
            "fields": [{"name": "Region", "value": "eu"}],
            "link": "https://status.example.com/1",
            "image_url": "https://status.example.com/1.png",
            "attachments": [{"color": "#123456", "text": "more"}],
            "thread_ts": "1712345678.123456",
            "unfurl_links": False,
            "username": "Checkout bot",
            "icon_emoji": ":bell:",
            "icon_url": "https://status.example.com/icon.png",
            "link_names": True,
            "mrkdwn": False,
        }
        ci = caller(bellhop, allow_broadcast=True)

        sent = ci.send({"to": "#general", "key": "c-1", "mode": "thread", **content}).json()

        shown = ci.get(f"{NOTIFICATIONS}/{sent['id']}").json()
        assert shown["content"] == content
        assert shown["key"] == "c-1"

    def test_it_is_delivered_at_its_time(self, bellhop: Bellhop) -> None:
        ci, now = caller(bellhop), bellhop.clock()
        at = (now + timedelta(hours=2)).isoformat()

        delayed = ci.send({**HELLO, "delay": 90}).json()
        later = ci.send({**HELLO, "send_at": at, "expires_at": "2099-01-01T00:00:00Z"})
        timed = ci.send({**HELLO, "send_at": at}).json()

        assert list(faults(later)) == ["expires_at"]
        shown = [ci.get(f"{NOTIFICATIONS}/{one['id']}").json() for one in (delayed, timed)]
        assert [one["deliveries"][0]["send_at"] for one in shown] == [
            (now + timedelta(seconds=90)).isoformat().replace("+00:00", "Z"),
            at.replace("+00:00", "Z"),
        ]


class TestRefusing:
    def test_every_invalid_field_is_named_with_its_fix(self, bellhop: Bellhop) -> None:
        answer = caller(bellhop).send(
            {
                "to": ["#general", "general"],
                "text": "x" * 40_001,
                "fields": [{"name": "a", "value": "b"}, {"name": "", "value": 3}],
                "severity": "loud",
                "colour": "red",
                "send_at": "tomorrow",
                "priority": 10,
                "key": "disk",
                "source": "a|b",
                "thread_ts": "first",
            }
        )

        assert faults(answer) == {
            "to[1]": "'general' is not a recipient: use #name, a channel's id (C…), @e-mail, a "
            "person's id (U…) or topic:name",
            "text": "is longer than 40,000 characters: shorten it",
            "fields[1].name": "is empty: give a value, or leave it out",
            "fields[1].value": "must be text",
            "severity": "must be 'info', 'success', 'warning', 'error' or 'critical'",
            "colour": "is an unknown field",
            "send_at": "is not an ISO 8601 date and time: write it like 2026-01-31T09:30:00Z",
            "priority": "is too large: the maximum is 9",
            "source": "is not a source: use up to 64 letters, digits and - _ . :",
            "thread_ts": "is not the ts of a message, which looks like 1712345678.123456",
        }
        assert answer.json()["detail"] == "10 fields are invalid: see errors."

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"to": "#general"}, "text"),
            ({"to": "#general", "text": " \n"}, "text"),
            ({"text": "x"}, "to"),
            ({**HELLO, "to": []}, "to"),
            ({**HELLO, "to": ["#a"] * 101}, "to"),
            ({**HELLO, "delay": 1, "send_at": "2020-01-01T00:00:00Z"}, "delay"),
            ({**HELLO, "send_at": "2030-01-01T00:00:00"}, "send_at"),
            ({**HELLO, "send_at": "2099-01-01T00:00:00Z"}, "send_at"),
            ({**HELLO, "send_at": "9999-12-31T23:59:59-23:59"}, "send_at"),
            ({**HELLO, "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
            ({**HELLO, "expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
            ({**HELLO, "link": "javascript:alert(1)"}, "link"),
            ({**HELLO, "link": "https://a.example/" + "x" * 1500}, "link"),
            ({**HELLO, "key": ""}, "key"),
            ({**HELLO, "escalate": {"after": 600}}, "escalate"),
            ({**HELLO, "actions": ["resolve"], "escalate": {"after": 59}}, "escalate.after"),
            ({**HELLO, "actions": ["resolve"], "escalate": {"after": 604_801}}, "escalate.after"),
            (
                {**HELLO, "actions": ["resolve"], "escalate": {"after": 60, "to": "ops"}},
                "escalate.to[0]",
            ),
            ({**HELLO, "actions": ["explode"]}, "actions[0]"),
            ({**HELLO, "key": "a\0b"}, "key"),
            ({**HELLO, "blocks": [{"type": "section"}], "image_url": "https://a.b/c"}, "image_url"),
            ({"to": "#general", "blocks": [{"text": "a\0b"}]}, "blocks[0]"),
            ({"to": "#general", "blocks": [{}] * 51}, "blocks"),
            ({"notifications": [HELLO], "to": "#general"}, "to"),
            ({"notifications": [HELLO] * 101}, "notifications"),
            ([], ""),
            ([HELLO] * 101, ""),
            (7, ""),
        ],
    )
    def test_unsendable_content_is_named(self, bellhop: Bellhop, body: Any, field: str) -> None:
        assert list(faults(caller(bellhop).send(body))) == [field]
        assert count(bellhop) == 0

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        "body", [b"", b"{", b"\xff", b'{"to": NaN}', b'["\\ud800"]', b"[" * 100_000, b"1" * 5000]
    )
    def test_a_body_that_is_not_json_is_rejected(self, bellhop: Bellhop, body: bytes) -> None:
        answer = caller(bellhop).send(body)

        assert answer.status == 400
        said = "not in the charset utf-8" if body == b"\xff" else "The body is not JSON"
        assert said in answer.json()["detail"]

    def test_values_outside_json_are_rejected(self, bellhop: Bellhop) -> None:
        body = b'{"to": "#general", "blocks": [{"a": [1e999]}]}'

        assert faults(caller(bellhop).send(body)) == {
            "blocks[0]": "contains a number that is too large"
        }

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
    def test_another_content_type_is_refused(self, bellhop: Bellhop, content_type: str) -> None:
        answer = caller(bellhop).send(HELLO, Content_Type=content_type)

        assert answer.status == 415
        assert "Content-Type: application/json" in answer.json()["detail"]

    @pytest.mark.sqlite_only
    def test_too_much_at_once_is_refused_with_the_limit(self, bellhop: Bellhop) -> None:
        answer = caller(bellhop).send([{**HELLO, "text": "x" * 40_000}] * 30)

        assert answer.status == 413
        assert "1 MiB" in answer.json()["detail"]


class TestMany:
    """Bodies with very many errors are cheap: only the first errors are listed."""

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize(
        "body",
        [
            {f"{number:x}": 0 for number in range(60_000)},
            {"notifications": [], **{f"{number:x}": 0 for number in range(60_000)}},
            {"to": "#general", "text": "x", "actions": [0] * 200_000},
            [{"to": "#general", "text": "x", **{f"x{n}": 0 for n in range(5)}}] * 100,
            {"to": "#general", "text": "x", "fields": [{"x": 0, "y": 0}] * 50},
            {"to": "#general", "text": "x", "x" * 1_000_000: 0},
        ],
        ids=["members", "beside a batch", "actions", "batch", "fields", "name"],
    )
    def test_the_first_are_named(self, bellhop: Bellhop, body: Any) -> None:
        answer = caller(bellhop).send(body)

        assert answer.status == 422
        assert 1 <= len(answer.json()["errors"]) <= MOST_PROBLEMS
        assert len(answer.text) < 10_000

    def test_few_are_looked_for(self) -> None:
        """The cost is dominated by the number of errors that pydantic reports."""
        fields = [{f"x{n}": 0 for n in range(6)}] * 50
        batch = [{"to": "#general", "text": "x", "fields": fields}] * 100

        with pytest.raises(ValidationError) as caught:
            read_batch(batch, datetime.now(UTC))

        assert caught.value.error_count() <= 500

    def test_a_revoked_key_has_one_body_read(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        assert ci.send(HELLO).status == 202
        bellhop.services.api_keys.revoke(1)

        assert ci.send({"bad": 1}).status == 401

        assert bellhop.services.api_keys.remembered(ci.key) is None
        assert ci.send(b"no JSON").status == 401

    def test_no_body_is_read_over_a_limit(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        [key] = bellhop.services.api_keys.of_team(ACME)
        until = bellhop.clock() + timedelta(seconds=30)
        error = LimitError(LimitReason.REQUESTS, 1, until, bellhop.clock())
        bellhop.services.sender_limits.reject(key.credential, error)

        assert ci.send(b"no JSON").status == 429


class TestIdempotency:
    @pytest.mark.both_databases
    def test_a_repeated_request_gets_the_first_response(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        first = ci.send([HELLO, {**HELLO, "to": ["#a", "#b"]}], Idempotency_Key="k")
        with bellhop.services.database.writing() as session:
            for delivery in session.scalars(select(Delivery)):
                delivery.state = "sent"

        again = ci.send([HELLO, {**HELLO, "to": ["#a", "#b"]}], Idempotency_Key="k")

        assert (again.status, again.text) == (202, first.text)
        assert again.headers["Idempotent-Replay"] == "true"
        assert first.headers["Idempotent-Replay"] is None
        assert count(bellhop) == 2

    def test_the_order_of_members_is_no_difference(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        first = ci.send(b'{"to": "#general", "text": "Hello"}', Idempotency_Key="k")
        again = ci.send(b'{"text":"Hello","to":["#general"]}', Idempotency_Key="k")

        assert again.text == first.text

    def test_another_body_is_refused(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        ci.send(HELLO, Idempotency_Key="k")

        answer = ci.send({**HELLO, "text": "Bye"}, Idempotency_Key="k")

        assert answer.status == 409
        assert "another body" in answer.json()["detail"]
        assert count(bellhop) == 1

    def test_keys_of_different_senders_are_different(self, bellhop: Bellhop) -> None:
        first = caller(bellhop).send(HELLO, Idempotency_Key="k")
        second = caller(bellhop).send(HELLO, Idempotency_Key="k")

        assert first.json()["id"] != second.json()["id"]

    def test_a_rejected_request_stores_nothing(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        assert ci.send({**HELLO, "to": "nowhere"}, Idempotency_Key="k").status == 422

        assert ci.send(HELLO, Idempotency_Key="k").status == 202

    @pytest.mark.both_databases
    def test_the_same_request_many_times_at_once_is_one_notification(
        self, bellhop: Bellhop
    ) -> None:
        ci = caller(bellhop)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ci.send(HELLO, Idempotency_Key="k"), range(16)))

        assert {one.status for one in answers} == {202}
        assert len({one.text for one in answers}) == 1
        assert sum(one.headers["Idempotent-Replay"] == "true" for one in answers) == 15
        assert (count(bellhop), count(bellhop, Delivery)) == (1, 1)

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
    def test_a_malformed_key_is_refused(self, bellhop: Bellhop, key: str) -> None:
        answer = caller(bellhop).send(HELLO, Idempotency_Key=key)

        assert answer.status == 400
        assert "printable ASCII" in answer.json()["detail"]


class TestKeys:
    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YTpi"}])
    def test_a_key_is_needed(self, bellhop: Bellhop, header: dict[str, str]) -> None:
        answer = request(
            "POST",
            bellhop.url + NOTIFICATIONS,
            json.dumps(HELLO).encode(),
            {"Content-Type": "application/json", **header},
        )

        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Bellhop"'

    def test_an_unknown_key_is_refused(self, bellhop: Bellhop) -> None:
        answer = request("GET", bellhop.url + NOTIFICATIONS, None, {"Authorization": "Bearer bh_x"})

        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    @pytest.mark.both_databases
    def test_a_revoked_key_is_refused_from_then_on(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        assert ci.send(HELLO).status == 202
        assert ci.send(HELLO, Idempotency_Key="k").status == 202

        # By another process, without this one's knowledge.
        with bellhop.services.database.writing_connection() as connection:
            connection.exec_driver_sql("UPDATE api_keys SET revoked_at = created_at")

        refused = [ci.send(HELLO), ci.send(HELLO, Idempotency_Key="k"), ci.get(NOTIFICATIONS)]
        assert [one.status for one in refused] == [401] * 3
        assert all("This API key is revoked" in one.text for one in refused)
        assert count(bellhop) == 2

    def test_an_expired_key_is_refused(self, bellhop: Bellhop) -> None:
        keys = bellhop.services.api_keys
        ci = caller(bellhop)
        short = type(ci)(bellhop.url, keys.create(ACME, "short", lifetime=timedelta(days=1)))
        assert short.send(HELLO).status == 202

        bellhop.clock.advance(86_400)

        assert short.send(HELLO).status == 401
        assert "expired" in short.send(HELLO).text
        assert ci.send(HELLO).status == 202

    def test_a_key_does_what_its_scopes_say(self, bellhop: Bellhop) -> None:
        reader, sender = caller(bellhop, Scope.READ), caller(bellhop, Scope.SEND)

        refused = [reader.send(HELLO), sender.get(NOTIFICATIONS)]

        assert [one.status for one in refused] == [403, 403]
        assert 'scope="send"' in refused[0].headers["WWW-Authenticate"]
        assert sender.send(HELLO).status == 202
        assert reader.get(NOTIFICATIONS).status == 200
        boss = caller(bellhop, Scope.ADMIN)
        assert (boss.send(HELLO).status, boss.get(NOTIFICATIONS).status) == (202, 200)

    def test_a_limited_key_sends_nowhere_else(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop, channels=["#General", "topic:deploys"])

        assert ci.send({**HELLO, "to": ["#general", "topic:deploys"]}).status == 202
        answer = ci.send([HELLO, {**HELLO, "to": ["#general", "#random"]}])

        assert answer.status == 403
        assert "may not send to #random, only to #general, topic:deploys" in answer.text
        assert count(bellhop) == 1

    def test_a_limited_key_escalates_nowhere_else(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop, channels=["#general", "#ops"])
        asking = {**HELLO, "actions": ["resolve"], "escalate": {"after": 60, "to": "#random"}}

        refused = ci.send(asking)
        assert refused.status == 403
        assert "#random" in refused.text
        assert ci.send({**asking, "escalate": {"after": 60, "to": "#ops"}}).status == 202


class TestManyDeliveries:
    """Others wait for the transaction that accepts them."""

    @pytest.fixture
    def few(self, bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch) -> Bellhop:
        monkeypatch.setattr(planning, "MOST_DELIVERIES", 5)
        for name in ("#a", "#b", "#c"):
            bellhop.services.subscriptions.subscribe(ACME, name, SubscriptionSpec("news"))
        return bellhop

    @pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "x"}])
    def test_a_batch_with_too_many_is_refused(self, few: Bellhop, headers: dict[str, str]) -> None:
        ci = caller(few)
        news = {"to": "topic:news", "text": "x"}

        answer = ci.send([news, news], **headers)

        assert answer.status == 413
        assert "more than 5 deliveries together" in answer.json()["detail"]
        assert count(few) == 0
        assert ci.send([news], **headers).status == 202

    @pytest.mark.both_databases
    @pytest.mark.parametrize(
        ("to", "number"), [(["topic:news", "#x", "#y", "#z"], 12), (["#x", "#y", "#z"], 6)]
    )
    def test_named_recipients_and_escalations_count(
        self, few: Bellhop, to: list[str], number: int
    ) -> None:
        ci, more = caller(few), {"actions": ["resolve"], "escalate": {"to": to, "after": 600}}
        named = {"to": to, "text": "x"}

        answers = [ci.send(one) for one in ([named, named], [named | more, HELLO], named | more)]

        assert [one.status for one in answers] == [413, 413, 202]
        assert (count(few), count(few, Delivery)) == (1, number)

    def test_one_notification_is_never_too_much(self, few: Bellhop) -> None:
        escalate = {"to": "topic:news", "after": 600}
        asked = {"to": "topic:news", "text": "x", "actions": ["resolve"], "escalate": escalate}

        assert caller(few).send(asked).status == 202
        assert count(few, Delivery) == 6

    def test_a_webhook_delivers_them_one_after_the_other(self, few: Bellhop) -> None:
        put_bot(few)
        url = few.services.webhooks.create(ACME, "", ["topic:news"], sender="cloudevents")
        batch = fixture("cloudevents", "batch")

        answer = request("POST", url, batch.raw, batch.headers)

        assert (answer.status, answer.text) == (200, "ok")
        assert (count(few), count(few, Delivery)) == (2, 6)
        with few.services.database.reading() as session:
            counted = session.execute(
                select(Webhook.minute_requests, Webhook.minute_deliveries)
            ).one()
        assert tuple(counted) == (1, 2)

    @pytest.mark.both_databases
    def test_those_that_arrive_together_are_all_taken(self, few: Bellhop) -> None:
        ci = caller(few)

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ci.send, [{"to": "topic:news", "text": "x"}] * 24))

        assert {one.status for one in answers} == {202}
        assert count(few, Delivery) == 72
