"""Subscribers: a key that sends to a topic does not learn its channels and people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bolt_app.credentials.api_keys import Scope
from bolt_app.db.models import ApiKey, Delivery
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.schedules import Schedule
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
    lists = [found.get(name, []) for name in ("deliveries", "cancelled", "kept")]
    return [one["to"] for deliveries in lists for one in deliveries]


def everything(bellhop: Bellhop, who: Caller, secret: str, **changed: Any) -> list[Page]:
    """Return every answer about a notification to the topic, in all of its states."""
    body = {**BODY, **changed}
    key = str(body["to"])
    answers = [who.send({**body, "delay": 86400}, Idempotency_Key=key) for _ in range(2)]
    later = f"{NOTIFICATIONS}/{answers[0].json()['id']}"
    answers += [who.get(later), who.call("DELETE", later)]
    answers.append(who.send([body]))
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
    accepted = [shown(page) for page in answers if '"url"' in page.text]
    assert accepted == [[]] * 3
    read = [shown(page) for page in answers if page.status == 200]
    assert all(addresses == ([GENERAL] if sees_public else []) for addresses in read), read
    # None was rejected, except what the key may not read at all, and a retry of nothing.
    may_read = "only sends" not in name
    rejected = [page.status for page in answers if page.status >= 400]
    assert rejected == ([409] if may_read else [403, 403, 403, 409])


# Values that differ between any two notifications.
UNLIKE = {"id", "request_id", "url", "page_url", "source", "ts", "permalink", "state_at"}
UNLIKE |= {"created_at", "send_at", "finished_at", "expires_at"}


def outline(answer: Any) -> Any:
    """Return an answer without the values that differ between any two notifications."""
    if isinstance(answer, list):
        return [outline(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        name: value is None if name in UNLIKE else outline(value) for name, value in answer.items()
    }


def named_beside(bellhop: Bellhop, hand: Hand, who: Caller, to: Sequence[str]) -> list[Any]:
    """Send to Ben and a topic; return the outlines of all answers, and the charge for them."""
    body = {"to": to, "text": "x", "key": "k", "escalate": {"after": 60}, "actions": ["resolve"]}
    pages = [who.send({**body, "delay": 86400}, Idempotency_Key=str(to)) for _ in range(2)]
    later = f"{NOTIFICATIONS}/{pages[0].json()['id']}"
    pages += [who.get(f"{later}"), who.call("DELETE", later)]
    pages.append(who.send([body, body]))
    ids = [one["id"] for one in pages[-1].json()["notifications"]]
    # Before the escalation and after it.
    for _ in range(2):
        for _ in range(4):
            bellhop.clock.advance(11)
            hand.deliver()
        pages += [who.get(f"{NOTIFICATIONS}/{id_}") for id_ in ids]
        for query in ("state=waiting", "state=sent", "state=unrouted", f"state=sent&to={BEN}"):
            pages.append(who.get(f"{NOTIFICATIONS}?id={ids[-1]}&{query}"))
    pages.append(who.send({"to": to, "text": "x", "key": "k"}))
    pages.append(who.call("POST", f"{NOTIFICATIONS}/{ids[0]}/retry", {}))
    pages.append(who.call("DELETE", f"{NOTIFICATIONS}/{ids[0]}"))
    with bellhop.services.database.reading() as session:
        [charged] = session.scalars(select(ApiKey.open_at_most).order_by(ApiKey.id.desc()).limit(1))
    return [*((page.status, outline(page.json())) for page in pages), charged]


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_named_address_shows_no_subscription(
    bellhop: Bellhop, subscribers: Subscribers, subtests: pytest.Subtests
) -> None:
    """Ben is subscribed to the first topic of each pair, and not to the second."""
    subscribe, hand = bellhop.services.subscriptions.subscribe, Hand(bellhop)
    for address in (subscribers.secret, GENERAL):
        subscribe(ACME, address, SubscriptionSpec("builds"))
    hourly = Schedule()
    subscribe(ACME, BEN, SubscriptionSpec("alone", digest=hourly))
    pairs = ("topic:deploys", "topic:builds"), ("topic:alone", "topic:nobody")
    for name, make in {"personal": personal, "of operator": of_operator}.items():
        for scopes in ((Scope.SEND,), (Scope.SEND, Scope.READ), (Scope.ADMIN,)):
            for topics in pairs:
                with subtests.test(name, scopes=scopes, topics=topics):
                    channels = [] if make is personal else [BEN, *topics]
                    found, posted = [], []
                    for topic in topics:
                        before = len(bellhop.slack.messages(subscribers.person_channel))
                        who = make(*scopes, channels=channels)(bellhop)
                        found.append(named_beside(bellhop, hand, who, [topic, BEN]))
                        after = len(bellhop.slack.messages(subscribers.person_channel))
                        posted.append(after - before)

                    for one, other in zip(*found, strict=True):
                        assert one == other
                    assert posted[0] == posted[1]


@pytest.mark.sqlite_only
def test_a_key_for_the_whole_workspace_reads_them(
    bellhop: Bellhop, subscribers: Subscribers
) -> None:
    who = caller(bellhop, Scope.SEND, Scope.READ)

    answers = everything(bellhop, who, subscribers.secret)

    addresses = {subscribers.secret, GENERAL, BEN}
    assert [set(shown(page)) for page in answers] == [addresses] * len(answers)


@pytest.mark.sqlite_only
def test_numbers_of_deliveries_count_no_hidden_ones(
    bellhop: Bellhop, subscribers: Subscribers
) -> None:
    who = personal(Scope.SEND, Scope.READ)(bellhop)
    body = [{"to": to, "text": "x"} for to in ([BEN], [BEN, TOPIC], [BEN])]
    found = who.send(body).json()["notifications"]
    numbers = [one["deliveries"][0]["id"] for one in found]
    Hand(bellhop).deliver()

    read = [who.get(f"{NOTIFICATIONS}/{one['id']}").json()["deliveries"] for one in found]

    assert [deliveries[0]["id"] for deliveries in read] == numbers
    with bellhop.services.database.reading() as session:
        assert not set(numbers) & set(session.scalars(select(Delivery.id)))


def test_a_shown_subscriber_has_its_message(bellhop: Bellhop, subscribers: Subscribers) -> None:
    who = caller(bellhop, Scope.SEND, Scope.READ, created_by=ANN)
    id_ = who.send(BODY).json()["id"]
    Hand(bellhop).deliver()

    report: Any = who.get(f"{NOTIFICATIONS}/{id_}").json()

    [message] = report["deliveries"]
    assert message["to"] == GENERAL
    assert message["permalink"] is not None


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
    bellhop.services.subscriptions.unsubscribe(ACME, GENERAL, "deploys")
    hidden = who.send(BODY).json()["id"]
    page = who.get(f"{NOTIFICATIONS}?state=waiting&id={hidden}")
    assert page.status == 403 or page.json()["notifications"] == []


@pytest.mark.sqlite_only
def test_a_recipient_that_the_sender_named_is_shown(
    bellhop: Bellhop, subscribers: Subscribers
) -> None:
    who = caller(bellhop, Scope.SEND, created_by=ANN)

    assert shown(who.send({"to": [BEN, TOPIC], "text": "x"})).count(BEN) == 1


def snooze(bellhop: Bellhop, id_: str) -> None:
    half_an_hour = timedelta(minutes=30)
    bellhop.services.incidents.answer(ACME, id_, BEN, IncidentAnswer.SNOOZE, half_an_hour)


class TestFollowUps:
    """Refreshes and reminders, which Bellhop adds to a notification later."""

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
        snooze(bellhop, id_)
        pages = [who.get(f"{NOTIFICATIONS}/{id_}")]
        bellhop.clock.advance(1900)
        hand.deliver()
        pages += [who.get(f"{NOTIFICATIONS}/{id_}"), who.call("DELETE", f"{NOTIFICATIONS}/{id_}")]

        assert [shown(page) for page in pages] == [[GENERAL] * 2] * 3
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
        who = caller(bellhop, Scope.SEND, Scope.READ, source="ci", channels=[GENERAL])
        escalation = {"to": GENERAL, "key": "other", "escalate": {"after": 60, "to": TOPIC}}
        for more in ({"to": [TOPIC, GENERAL]}, escalation):
            id_ = sender.send({**INCIDENT, **more}).json()["id"]
            Hand(bellhop).deliver()
            snooze(bellhop, id_)

            page = who.call("DELETE", f"{NOTIFICATIONS}/{id_}")

            assert page.status == 403
            assert subscribers.secret not in page.text
            assert BEN not in page.text

    @pytest.mark.sqlite_only
    def test_a_key_that_may_send_to_the_topic_may_cancel_them(
        self, bellhop: Bellhop, subscribers: Subscribers
    ) -> None:
        id_ = caller(bellhop, Scope.SEND, source="ci").send({**BODY, "delay": 60}).json()["id"]
        who = caller(bellhop, Scope.SEND, source="ci", channels=[TOPIC])

        assert who.call("DELETE", f"{NOTIFICATIONS}/{id_}").status == 200

        report = bellhop.services.history.find(ACME, id_)
        assert report is not None
        assert {one.state for one in report.deliveries} == {"cancelled"}
