"""Limits of API keys and webhooks: requests beyond them are rejected, counted and shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bolt_app.credentials.api_keys import ApiKeys, Scope
from bolt_app.credentials.limits import Charge, LimitError, Limits, RevokedError, SenderLimits
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db import Database
from bolt_app.db.models import Delivery, Notification
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.commands import assert_failed, run
from tests.conftest import FakeClock
from tests.faults.load import wait_until
from tests.locks import is_waited_for
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, Page, Repetition, running_bellhop
from tests.web.calling import NOTIFICATIONS, Caller, caller, put_bot, request

RANDOM = "C0ACME0002"


@pytest.fixture
def limited(
    request: pytest.FixtureRequest,
    database_url: str,
    encryption_key: str,
    clock: FakeClock,
    restoring: Repetition | None,
) -> Iterator[Bellhop]:
    """Bellhop with the parametrized limits, at the beginning of an hour."""
    clock.now = clock.now.replace(minute=0, second=0, microsecond=0)
    with running_bellhop(
        database_url, encryption_key, clock, restoring, **request.param
    ) as running:
        yield running


def limits(**settings: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("limited", [settings], indirect=True)


def post(url: str) -> Page:
    return request("POST", url, b'{"text": "x"}')


def stored(bellhop: Bellhop) -> tuple[int, int]:
    """Return the number of notifications and deliveries."""
    with bellhop.services.database.reading() as session:
        return (
            session.scalar(select(func.count()).select_from(Notification)) or 0,
            session.scalar(select(func.count()).select_from(Delivery)) or 0,
        )


def assert_rejected(answer: Page, words: str) -> None:
    assert answer.status == 429, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert words in answer.json()["detail"]


@limits(sender_requests_per_minute=2)
class TestRequests:
    def test_requests_over_the_limit_are_rejected_until_the_next_minute(
        self, limited: Bellhop
    ) -> None:
        ci, other = caller(limited), caller(limited)
        for _ in range(2):
            assert ci.send({"to": "#a", "text": "x"}).status == 202

        rejected = ci.send({"to": "#a", "text": "x"})

        assert_rejected(rejected, "2 requests per minute")
        assert stored(limited) == (2, 2)
        assert other.send({"to": "#a", "text": "x"}).status == 202
        limited.clock.advance(int(rejected.headers["Retry-After"]))
        assert ci.send({"to": "#a", "text": "x"}).status == 202

    def test_every_method_counts_as_a_request(self, limited: Bellhop) -> None:
        ci = caller(limited, Scope.ADMIN)
        id_ = ci.send({"to": "#a", "text": "x"}).json()["id"]
        assert ci.get(NOTIFICATIONS).status == 200

        path = f"{NOTIFICATIONS}/{id_}"
        for method, asked in (
            ("GET", NOTIFICATIONS),
            ("GET", path),
            ("DELETE", path),
            ("POST", f"{path}/retry"),
            ("POST", NOTIFICATIONS),
        ):
            assert_rejected(
                ci.call(method, asked, {"to": "#a", "text": "x"}), "requests per minute"
            )
        again = ci.send({"to": "#a", "text": "x"}, Idempotency_Key="k")
        assert_rejected(again, "requests per minute")
        assert stored(limited) == (1, 1)

    def test_a_rejected_notification_counts_as_a_request(self, limited: Bellhop) -> None:
        ci = caller(limited, Scope.SEND, channels=["#a"])
        url = limited.services.webhooks.create(ACME, "alerts", ["#a"], sender="slack")
        bad: list[Any] = [b"{", {"to": "#b", "text": "x"}, {"to": "#a"}]

        assert [ci.send(body).status for body in bad] == [400, 403, 429]
        answers = [request("POST", url, b"{") for _ in range(3)]
        assert [answer.status for answer in answers] == [400, 400, 503]
        assert stored(limited) == (0, 0)

    def test_any_error_counts_as_a_request(self, limited: Bellhop) -> None:
        reader, ci, other = caller(limited, Scope.READ), caller(limited), caller(limited)
        url = limited.services.webhooks.create(ACME, "alerts", ["#a"])
        body, large = {"to": "#a", "text": "x"}, b" " * (1024 * 1024 + 1)

        assert [reader.send(body).status for _ in range(3)] == [403, 403, 429]
        assert ci.send(body, Idempotency_Key="k").status == 202
        others = [ci.send({**body, "text": "y"}, Idempotency_Key="k") for _ in range(2)]
        assert [item.status for item in others] == [409, 429]
        assert [other.send(large).status for _ in range(3)] == [413, 413, 429]
        assert [request("POST", url, large).status for _ in range(3)] == [413, 413, 503]

    def test_an_idempotent_repetition_counts_as_a_request(self, limited: Bellhop) -> None:
        ci = caller(limited)
        answers = [ci.send({"to": "#a", "text": "x"}, Idempotency_Key="k") for _ in range(3)]

        assert [answer.status for answer in answers] == [202, 202, 429]
        assert stored(limited) == (1, 1)

    def test_a_webhook_answers_so_that_tools_retry(self, limited: Bellhop) -> None:
        put_bot(limited)
        url = limited.services.webhooks.create(ACME, "alerts", ["#a"])
        answers = [post(url) for _ in range(3)]

        assert [(answer.status, answer.text) for answer in answers] == [
            (200, "ok"),
            (200, "ok"),
            (503, "rate_limited"),
        ]
        assert 0 < int(answers[2].headers["Retry-After"]) <= 60
        assert answers[2].headers["Content-Type"].startswith("text/plain")

    def test_of_many_at_once_no_more_than_the_limit_are_accepted(self, limited: Bellhop) -> None:
        ci = caller(limited)
        statuses: list[int] = []

        def send() -> None:
            statuses.append(ci.send({"to": "#a", "text": "x"}).status)

        threads = [threading.Thread(target=send) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(statuses) == [202, 202, *[429] * 10]
        [key] = limited.services.api_keys.of_team(ACME)
        assert key.use.rejected == 10


def subscribe(bellhop: Bellhop, number: int) -> None:
    """Subscribe a number of destinations to deploys."""
    for item in range(number):
        bellhop.services.subscriptions.subscribe(
            ACME, f"C0MANY{item:04}", SubscriptionSpec("deploys")
        )


@limits(sender_deliveries_per_minute=3)
def test_deliveries_are_counted_where_the_sender_addressed_them(limited: Bellhop) -> None:
    ci = caller(limited)
    assert ci.send({"to": ["#a", "#b"], "text": "x"}).status == 202

    assert_rejected(ci.send({"to": ["#a", "#b"], "text": "x"}), "3 deliveries per minute")

    limited.clock.advance(1)
    assert ci.send({"to": "#a", "text": "x"}).status == 202
    assert stored(limited) == (2, 3)


@limits(sender_deliveries_per_minute=3)
def test_deliveries_by_subscription_count_as_one(limited: Bellhop) -> None:
    subscribe(limited, 5)
    ci = caller(limited)
    assert ci.send({"to": ["topic:deploys", "#a"], "text": "x"}).status == 202
    assert ci.send({"to": "topic:deploys", "text": "x"}).status == 202

    assert_rejected(ci.send({"to": "topic:deploys", "text": "x"}), "3 deliveries per minute")


@limits(sender_open_deliveries=2)
def test_open_deliveries_by_subscription_count_as_one(limited: Bellhop) -> None:
    subscribe(limited, 5)
    ci = caller(limited)
    assert ci.send({"to": "topic:deploys", "text": "x"}).status == 202
    assert ci.send({"to": "topic:deploys", "text": "x"}).status == 202

    assert_rejected(ci.send({"to": "topic:deploys", "text": "x"}), "2 open deliveries")


@limits(sender_deliveries_per_minute=2)
def test_retried_deliveries_by_subscription_count_as_one(limited: Bellhop) -> None:
    limited.install(ANN)
    subscribe(limited, 5)
    ci = caller(limited)
    sent = ci.send({"to": "topic:deploys", "text": "x"}).json()
    limited.clock.advance(5)
    Hand(limited).deliver()

    assert ci.call("POST", f"{NOTIFICATIONS}/{sent['id']}/retry").status == 202


@limits(sender_deliveries_per_minute=2)
def test_a_retry_is_counted_again(limited: Bellhop) -> None:
    limited.install(ANN)
    ci = caller(limited)
    sent = ci.send({"to": "#nowhere", "text": "x"}).json()
    again = f"{NOTIFICATIONS}/{sent['id']}/retry"

    answers = []
    for _ in range(2):
        limited.clock.advance(5)
        Hand(limited).deliver()
        answers.append(ci.call("POST", again))

    assert answers[0].status == 202
    assert_rejected(answers[1], "2 deliveries per minute")
    limited.clock.advance(60)
    assert ci.call("POST", again).status == 202
    assert ci.call("POST", again).status == 409


@limits(sender_new_destinations_per_hour=2)
def test_unknown_names_cannot_flood_a_workspace(limited: Bellhop) -> None:
    ci = caller(limited)
    assert ci.send({"to": ["#a", "#b"], "text": "x"}).status == 202

    many = ci.send({"to": [f"#unknown-{n}" for n in range(100)], "text": "x"})

    assert_rejected(many, "2 new destinations per hour")
    limited.clock.advance(1)
    assert ci.send({"to": ["#a", "#b"], "text": "x"}).status == 202
    assert_rejected(ci.send({"to": "#c", "text": "x"}), "new destinations")
    limited.clock.advance(3600)
    assert ci.send({"to": "#c", "text": "x"}).status == 202


@limits(sender_new_destinations_per_hour=1)
def test_subscribers_are_not_new_destinations_of_the_sender(limited: Bellhop) -> None:
    for address in (GENERAL, RANDOM, ANN):
        limited.services.subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys"))

    assert caller(limited).send({"to": "topic:deploys", "text": "x"}).status == 202


@limits(sender_open_deliveries=2)
def test_open_deliveries_are_not_counted_for_each_request(limited: Bellhop) -> None:
    """A count visits all of them, up to 100,000, while others wait."""
    limited.install(ANN)
    ci, later = caller(limited), {"to": GENERAL, "text": "x", "delay": 3600}

    def send_and_cancel() -> int:
        answer = ci.send(later)
        if answer.status == 202:
            ci.call("DELETE", f"{NOTIFICATIONS}/{answer.json()['id']}")
        return answer.status

    assert [send_and_cancel() for _ in range(4)] == [202, 202, 202, 202]
    assert_rejected(ci.send(later), "2 open deliveries")
    limited.clock.advance(5)
    assert send_and_cancel() == 202


@limits(sender_open_deliveries=2)
def test_open_deliveries_are_counted_again_when_some_have_ended(limited: Bellhop) -> None:
    limited.install(ANN)
    ci = caller(limited)
    assert ci.send({"to": [GENERAL, "#never"], "text": "x"}).status == 202
    assert_rejected(ci.send({"to": GENERAL, "text": "x"}), "2 open deliveries")

    limited.clock.advance(5)
    Hand(limited).deliver()

    assert ci.send({"to": GENERAL, "text": "x"}).status == 202
    assert caller(limited).send({"to": GENERAL, "text": "x"}).status == 202


def test_a_count_that_was_rolled_back_rejects_nothing(database: Database, clock: FakeClock) -> None:
    """The transaction of a batch fails because of another sender, and is repeated without it."""
    keys = ApiKeys(database, clock=clock)
    limits = SenderLimits(database, Limits(open_deliveries=1), clock=clock)
    for name in ("ci", "other"):
        keys.create(ACME, name)
    mine, other = (
        Charge(Credential(SourceKind.API_KEY, key.id), deliveries=1) for key in keys.of_team(ACME)
    )
    with database.writing_connection() as connection:
        limits.charge(connection, [mine], clock())
    keys.revoke(other.credential.id)

    with pytest.raises(RevokedError), database.writing_connection() as connection:
        limits.charge(connection, [mine, other], clock())

    # Nothing is open: each has ended.
    with database.writing_connection() as connection:
        limits.charge(connection, [mine], clock())
    with pytest.raises(LimitError), database.writing_connection() as connection:
        limits.charge(connection, [mine], clock())


@limits(sender_requests_per_minute=1)
def test_rejections_are_shown_to_admins(limited: Bellhop) -> None:
    limited.install(ANN)
    ci = caller(limited)
    url = limited.services.webhooks.create(ACME, "alerts", ["#a"])
    for _ in range(3):
        ci.send({"to": "#a", "text": "x"})
        post(url)

    keys = run(limited, "api-key", "list", "--team", ACME).stdout
    hooks = run(limited, "webhook", "list", "--team", ACME).stdout
    limited.slack.open_home(ANN, ACME)
    limited.slack.deliver_due()
    view = limited.slack.home_view(ACME, ANN)

    at = f"{limited.clock():%Y-%m-%d %H:%M} UTC"
    assert f"; 2 rejected, last {at} (requests per minute)\n" in keys
    assert f"; 2 rejected, last {at} (requests per minute)\n" in hooks
    assert view is not None
    assert json.dumps(view.blocks).count("2 requests rejected") == 2


class TestAcrossProcesses:
    """Two processes that share only the database."""

    KEY = Credential(SourceKind.API_KEY, 1)

    def make(self, database: Database, clock: FakeClock) -> list[SenderLimits]:
        ApiKeys(database, clock=clock).create(ACME, "ci")
        return [SenderLimits(database, Limits(requests=3), clock=clock) for _ in range(2)]

    def test_they_count_together(self, database: Database, clock: FakeClock) -> None:
        one, other = self.make(database, clock)
        one.charge_request(self.KEY)
        other.charge_request(self.KEY)
        one.charge_request(self.KEY)

        for process in (one, other, other):
            with pytest.raises(LimitError):
                process.charge_request(self.KEY)

        [key] = ApiKeys(database).of_team(ACME)
        assert (key.use.rejected, key.use.at) == (3, clock())

    def test_a_revoked_key_is_found_out(self, database: Database, clock: FakeClock) -> None:
        _, other = self.make(database, clock)
        ApiKeys(database).revoke(1)

        with database.writing_connection() as connection, pytest.raises(RevokedError):
            other.charge(connection, [Charge(self.KEY, 1)], clock())

    @pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
    def test_a_revocation_waits_for_what_a_key_changes(
        self, database: Database, clock: FakeClock
    ) -> None:
        """SQLite has one writer at a time."""
        one, _ = self.make(database, clock)
        with ThreadPoolExecutor(1) as pool:
            with database.writing_connection() as connection:
                one.charge(connection, [Charge(self.KEY)], clock())
                revocation = pool.submit(ApiKeys(database).revoke, 1)
                wait_until(lambda: revocation.done() or is_waited_for(connection), seconds=30)

                assert not revocation.done()
            assert revocation.result(timeout=30) == "ci"

    def test_so_is_an_expired_one(self, database: Database, clock: FakeClock) -> None:
        ApiKeys(database, clock=clock).create(ACME, "ci", lifetime=timedelta(minutes=1))
        one = SenderLimits(database, Limits(), clock=clock)
        clock.advance(59)
        one.charge_request(self.KEY)
        clock.advance(1)

        with pytest.raises(RevokedError):
            one.charge_request(self.KEY)


class TestCancelling:
    pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

    def states(self, bellhop: Bellhop) -> list[tuple[str, str]]:
        statement = select(Delivery.target, Delivery.state).order_by(Delivery.id)
        with bellhop.services.database.reading() as session:
            return [(row.target, row.state) for row in session.execute(statement)]

    def test_a_flooding_key_is_revoked_with_its_deliveries(self, bellhop: Bellhop) -> None:
        ci, other = caller(bellhop), caller(bellhop)
        ci.send({"to": ["#a", "#b"], "text": "x", "delay": 60})
        other.send({"to": "#a", "text": "x"})

        done = run(bellhop, "api-key", "revoke", "1", "--cancel")

        assert done.stdout == "Key 1 is revoked.\n2 deliveries were cancelled.\n"
        assert self.states(bellhop) == [("#a", "cancelled"), ("#b", "cancelled"), ("#a", "waiting")]
        assert ci.send({"to": "#a", "text": "x"}).status == 401
        again = run(bellhop, "api-key", "revoke", "2")
        assert "cancelled" not in again.stdout
        assert self.states(bellhop)[2] == ("#a", "waiting")
        later = run(bellhop, "api-key", "revoke", "2", "--cancel")
        assert later.stdout.endswith("1 delivery was cancelled.\n")

    def test_a_webhook_is_limited_too(self, bellhop: Bellhop) -> None:
        put_bot(bellhop)
        url = bellhop.services.webhooks.create(ACME, "alerts", ["#a"])
        assert post(url).text == "ok"

        done = run(bellhop, "webhook", "revoke", "1", "--cancel")

        assert done.stdout == "Webhook 1 is revoked.\n1 delivery was cancelled.\n"
        assert self.states(bellhop) == [("#a", "cancelled")]
        assert post(url).text == "no_service"
        assert not bellhop.services.webhooks.is_known(url.rpartition("/")[2])
        assert post(url).text == "no_service"

    def test_there_is_nothing_to_revoke(self, bellhop: Bellhop) -> None:
        for command in ("api-key", "webhook"):
            assert_failed(run(bellhop, command, "revoke", "7", "--cancel"), "does not exist")


def test_a_key_that_is_revoked_while_it_is_remembered(bellhop: Bellhop) -> None:
    ci = caller(bellhop)
    assert ci.send({"to": "#a", "text": "x"}).status == 202
    bellhop.services.api_keys.revoke(1)

    assert ci.send({"to": "#a", "text": "x"}, Idempotency_Key="k").status == 401
    # It causes no further transaction of others.
    assert bellhop.services.api_keys.remembered(ci.key) is None
    assert ci.send({"to": "#a", "text": "x"}).status == 401
    assert stored(bellhop) == (1, 1)


class TestEndingIncidents:
    """Updates of messages caused by a sender are charged to it."""

    def opened(self, bellhop: Bellhop, messages: int) -> Caller:
        """Post messages of one incident to a channel; return their sender."""
        bellhop.install(ANN)
        ci = caller(bellhop)
        asking = {"to": GENERAL, "text": "x", "key": "K", "mode": "new", "actions": ["mute"]}
        assert ci.send([asking] * messages).status == 202
        for _ in range(messages):
            bellhop.clock.advance(5)
            Hand(bellhop).deliver()
        bellhop.clock.advance(60)
        return ci

    def again(self, ci: Caller) -> Page:
        """Resolve the incident and open it again, without subscribers."""
        answer = ci.send({"to": "topic:nobody", "text": "x", "key": "K"})
        ci.send({"to": "topic:nobody", "text": "x", "key": "K", "actions": ["mute"]})
        return answer

    def refreshes(self, bellhop: Bellhop, *conditions: Any) -> int:
        of_refreshes = select(func.count()).where(Delivery.mode == "refresh", *conditions)
        with bellhop.services.database.reading() as session:
            return session.scalar(of_refreshes) or 0

    @limits(sender_deliveries_per_minute=7)
    def test_they_count(self, limited: Bellhop) -> None:
        ci = self.opened(limited, 3)

        assert [self.again(ci).status for _ in range(2)] == [202, 202]
        assert_rejected(self.again(ci), "7 deliveries per minute")

        limited.clock.advance(60)
        assert self.again(ci).status == 202

    @limits(sender_deliveries_per_minute=2)
    def test_messages_in_subscribed_channels_count_once(self, limited: Bellhop) -> None:
        limited.install(ANN)
        for address in (GENERAL, RANDOM):
            limited.services.subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys"))
        ci, about = caller(limited), {"to": "topic:deploys", "text": "x", "key": "K"}
        assert ci.send({**about, "actions": ["mute"]}).status == 202
        limited.clock.advance(5)
        Hand(limited).deliver()
        limited.clock.advance(60)

        assert ci.send({"to": "topic:nobody", "text": "x", "key": "K"}).status == 202
        assert ci.send({"to": "#a", "text": "x"}).status == 202
        assert_rejected(ci.send({"to": "#a", "text": "x"}), "2 deliveries per minute")

    @limits(sender_open_deliveries=4)
    def test_they_count_as_open(self, limited: Bellhop) -> None:
        ci = self.opened(limited, 3)

        assert self.again(ci).status == 202
        assert_rejected(ci.send([{"to": GENERAL, "text": "x"}] * 2), "4 open deliveries")
        limited.clock.advance(2)
        assert ci.send({"to": GENERAL, "text": "x"}).status == 202

    @limits()
    def test_waiting_messages_are_not_updated(self, limited: Bellhop) -> None:
        ci = self.opened(limited, 3)

        assert [self.again(ci).status for _ in range(5)] == [202] * 5

        assert self.refreshes(limited) == 3

    @limits()
    def test_they_go_no_further_ahead_than_others(self, limited: Bellhop) -> None:
        ci = self.opened(limited, 3)
        assert self.again(ci).status == 202
        urgent = caller(limited).send({"to": GENERAL, "text": "Urgent", "priority": 9})
        assert urgent.status == 202

        limited.clock.advance(5)
        Hand(limited).deliver()

        assert limited.slack.messages(GENERAL)[-1].text == "Urgent"

    @limits()
    def test_responses_of_people_go_first(self, limited: Bellhop) -> None:
        ci = self.opened(limited, 3)
        assert self.again(ci).status == 202
        id_ = ci.get(f"{NOTIFICATIONS}?key=K").json()["notifications"][-1]["id"]
        assert limited.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.MUTE)

        assert self.refreshes(limited, Delivery.rank >= 0) == 0
        assert self.refreshes(limited) == 3
