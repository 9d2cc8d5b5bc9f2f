"""Subscribers' addresses: a key that sends to a topic does not learn the channels and people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.notifications.history.reports import SUBSCRIBER
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Page
from tests.web.calling import NOTIFICATIONS, Caller, caller
from tests.web.test_notification_pages import private_channel

TOPIC = "topic:deploys"
BODY = {"to": TOPIC, "text": "x"}
INCIDENT = {**BODY, "key": "k", "actions": ["acknowledge", "snooze"]}


class Subscribers:
    """A private channel, a public channel and a person, all subscribed to the topic."""

    def __init__(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        self.secret = private_channel(bellhop, BEN)
        for address in (self.secret, GENERAL, BEN):
            bellhop.services.subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys"))
        self.person_channel = bellhop.slack.app_dm(ACME, BEN).id


@pytest.fixture
def subscribers(bellhop: Bellhop) -> Subscribers:
    return Subscribers(bellhop)


def shown(page: Page) -> list[str]:
    """Return the addresses in an answer about one notification."""
    body = json.loads(page.text)
    [found] = body.get("notifications", [body])
    deliveries = found.get("deliveries") or [*found["cancelled"], *found["kept"]]
    return [one["to"] for one in deliveries]


def everything(bellhop: Bellhop, who: Caller, secret: str) -> list[Page]:
    """Return every answer about a notification to the topic, in all of its states."""
    answers = [who.send({**BODY, "delay": 86400}, Idempotency_Key="k") for _ in range(2)]
    later = f"{NOTIFICATIONS}/{answers[0].json()['id']}"
    answers += [who.get(later), who.call("DELETE", later)]
    answers.append(who.send([BODY]))
    bellhop.slack.archive_channel(secret)
    Hand(bellhop).deliver()
    [sent] = answers[-1].json()["notifications"]
    path = f"{NOTIFICATIONS}/{sent['id']}"
    answers += [who.get(path), who.get(f"{NOTIFICATIONS}?limit=1")]
    return [*answers, who.call("POST", f"{path}/retry", {}), who.call("DELETE", path)]


def personal(*scopes: Scope, channels: Sequence[str] = ()) -> Callable[[Bellhop], Caller]:
    return lambda bellhop: caller(bellhop, *scopes, channels=channels, created_by=ANN)


def of_operator(*scopes: Scope, channels: Sequence[str] = ()) -> Callable[[Bellhop], Caller]:
    return lambda bellhop: caller(bellhop, *scopes, channels=channels)


KEYS: dict[str, tuple[Callable[[Bellhop], Caller], bool]] = {
    "personal": (personal(Scope.SEND, Scope.READ), True),
    "personal admin": (personal(Scope.ADMIN), True),
    "personal that only sends": (personal(Scope.SEND), False),
    "limited personal": (personal(Scope.SEND, Scope.READ, channels=[TOPIC]), False),
    "only sends": (of_operator(Scope.SEND), False),
    "limited": (of_operator(Scope.SEND, Scope.READ, channels=[TOPIC]), False),
    "limited admin": (of_operator(Scope.ADMIN, channels=[TOPIC]), False),
    "limited to a subscriber": (
        of_operator(Scope.SEND, Scope.READ, channels=[TOPIC, GENERAL]),
        True,
    ),
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("name", KEYS)
def test_no_answer_shows_a_hidden_subscriber(
    bellhop: Bellhop, subscribers: Subscribers, name: str
) -> None:
    make, sees_public = KEYS[name]
    who = make(bellhop)

    answers = everything(bellhop, who, subscribers.secret)

    hidden = subscribers.secret, BEN, subscribers.person_channel
    assert [page.text for page in answers if any(one in page.text for one in hidden)] == []
    said = [shown(page) for page in answers if page.status in (200, 202)]
    assert all(len(addresses) == 3 for addresses in said), said
    assert {one for addresses in said for one in addresses} == (
        {SUBSCRIBER, GENERAL} if sees_public else {SUBSCRIBER}
    )
    # None was rejected, except what the key may not read at all.
    may_read = "only sends" not in name
    assert [page.status for page in answers if page.status == 403] == [403] * (0 if may_read else 3)


@pytest.mark.sqlite_only
def test_a_key_for_the_whole_workspace_reads_them(
    bellhop: Bellhop, subscribers: Subscribers
) -> None:
    who = caller(bellhop, Scope.SEND, Scope.READ)

    answers = everything(bellhop, who, subscribers.secret)

    addresses = {subscribers.secret, GENERAL, BEN}
    assert [set(shown(page)) for page in answers] == [addresses] * len(answers)


def test_a_shown_subscriber_has_its_message(bellhop: Bellhop, subscribers: Subscribers) -> None:
    who = caller(bellhop, Scope.SEND, Scope.READ, created_by=ANN)
    id_ = who.send(BODY).json()["id"]
    Hand(bellhop).deliver()

    report: Any = who.get(f"{NOTIFICATIONS}/{id_}").json()

    messages = {one["to"]: one["permalink"] for one in report["deliveries"]}
    assert messages[GENERAL] is not None
    assert messages[SUBSCRIBER] is None


@pytest.mark.sqlite_only
@pytest.mark.parametrize("make", [make for make, _ in KEYS.values()], ids=list(KEYS))
def test_a_search_finds_no_hidden_subscriber(
    bellhop: Bellhop, subscribers: Subscribers, make: Callable[[Bellhop], Caller]
) -> None:
    who = make(bellhop)
    assert who.send(BODY).status == 202

    for address in (subscribers.secret, BEN):
        for more in ("", "&state=waiting"):
            page = who.get(f"{NOTIFICATIONS}?to={address}{more}")
            assert page.status == 403 or page.json()["notifications"] == []


@pytest.mark.sqlite_only
def test_a_recipient_that_the_sender_named_is_shown(
    bellhop: Bellhop, subscribers: Subscribers
) -> None:
    who = caller(bellhop, Scope.SEND, created_by=ANN)

    assert shown(who.send({"to": [BEN, TOPIC], "text": "x"})).count(BEN) == 1


class TestFollowUps:
    """Refreshes and reminders, which Bellhop adds to a notification later."""

    @staticmethod
    def snooze(bellhop: Bellhop, id_: str) -> None:
        half_an_hour = timedelta(minutes=30)
        bellhop.services.incidents.answer(ACME, id_, BEN, IncidentAnswer.SNOOZE, half_an_hour)

    @pytest.mark.sqlite_only
    def test_a_repeated_request_gets_the_first_response(
        self, bellhop: Bellhop, subscribers: Subscribers
    ) -> None:
        who = caller(bellhop, Scope.SEND, channels=[TOPIC])
        first = who.send(INCIDENT, Idempotency_Key="k")
        Hand(bellhop).deliver()
        who.send({**BODY, "key": "k"})

        assert who.send(INCIDENT, Idempotency_Key="k").json() == first.json()

    @pytest.mark.sqlite_only
    def test_no_answer_shows_a_hidden_subscriber(
        self, bellhop: Bellhop, subscribers: Subscribers
    ) -> None:
        who = personal(Scope.SEND, Scope.READ)(bellhop)
        id_ = who.send(INCIDENT).json()["id"]
        hand = Hand(bellhop)
        hand.deliver()
        self.snooze(bellhop, id_)
        pages = [who.get(f"{NOTIFICATIONS}/{id_}")]
        bellhop.clock.advance(1900)
        hand.deliver()
        pages += [who.get(f"{NOTIFICATIONS}/{id_}"), who.call("DELETE", f"{NOTIFICATIONS}/{id_}")]

        assert [len(shown(page)) for page in pages] == [6] * 3
        hidden = subscribers.secret, BEN, subscribers.person_channel
        delivered = [str(page.json().get("deliveries")) for page in pages]
        assert [text for text in delivered if any(one in text for one in hidden)] == []
        for address in (subscribers.secret, BEN):
            assert who.get(f"{NOTIFICATIONS}?to={address}").json()["notifications"] == []
            [subscription] = bellhop.services.subscriptions.of_address(ACME, address)
            assert subscription.last is not None
            assert subscription.last.at < bellhop.clock() - timedelta(minutes=30)

    @pytest.mark.sqlite_only
    def test_a_key_of_the_same_source_may_not_cancel_them_and_learns_no_subscriber(
        self, bellhop: Bellhop, subscribers: Subscribers
    ) -> None:
        sender = caller(bellhop, Scope.SEND, source="ci")
        id_ = sender.send({**INCIDENT, "to": [TOPIC, GENERAL]}).json()["id"]
        Hand(bellhop).deliver()
        self.snooze(bellhop, id_)
        who = caller(bellhop, Scope.SEND, Scope.READ, source="ci", channels=[GENERAL])

        page = who.call("DELETE", f"{NOTIFICATIONS}/{id_}")

        assert page.status == 403
        assert subscribers.secret not in page.text
        assert BEN not in page.text
