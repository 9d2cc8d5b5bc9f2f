"""Messages that people deleted in Slack: later messages are neither lost nor misplaced."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db.models import Delivery
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.delivery import replaced_messages
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept, deliveries, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"
KEY = "disk/db1"
CI = Credential(SourceKind.API_KEY, 1)
INCIDENT: dict[str, Any] = {
    "title": "Disk full",
    "actions": ["acknowledge", "assign", "resolve", "snooze", "mute"],
}
# Words in messages: their texts, and lines about the incident.
WORDS = (
    "first",
    "second",
    "third",
    "over",
    "Acknowledged",
    "Assigned",
    "Resolved",
    "No answer yet",
)


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def deliver(bellhop: Bellhop, seconds: float = 5) -> None:
    """Deliver everything that is due, beyond the pace of the channels."""
    bellhop.clock.advance(seconds)
    hand = Hand(bellhop)
    for _ in range(3):
        hand.deliver()
        bellhop.clock.advance(8)


def send(bellhop: Bellhop, text: str, to: str = GENERAL, **given: Any) -> str:
    id_ = accept(bellhop, to, text, **given)
    deliver(bellhop)
    return id_


def delete_all(bellhop: Bellhop, channel_id: str = GENERAL) -> Sequence[Message]:
    """Delete every message of a channel, as an admin may in Slack."""
    messages = bellhop.slack.messages(channel_id)
    with bellhop.slack.edit():
        for one in messages:
            one.deleted = True
    return messages


def answer(bellhop: Bellhop, notification_id: str, what: Any) -> None:
    assert bellhop.services.incidents.answer(ACME, notification_id, BEN, what)
    deliver(bellhop)


def shown(bellhop: Bellhop, channel_id: str = GENERAL) -> list[str]:
    """Return the messages of a channel, oldest first; a reply after the one it replies to."""
    messages = bellhop.slack.messages(channel_id)
    names = {one.ts: _name(one) for one in messages}
    return [
        _name(one)
        if one.thread_ts in (None, one.ts)
        else f"{names.get(one.thread_ts, 'deleted')} > {_name(one)}"
        for one in messages
    ]


def _name(message: Message) -> str:
    said = json.dumps([message.text, message.blocks, message.attachments])
    return " ".join(one.lower() for one in WORDS if one in said)


Then = Callable[[Bellhop, str], object]


def repeated(mode: str, **given: Any) -> Then:
    def then(bellhop: Bellhop, _first: str) -> None:
        for text in ("second", "third"):
            send(bellhop, text, key=KEY, mode=mode, **given)

    return then


def answered(*answers: str) -> Then:
    def then(bellhop: Bellhop, first: str) -> None:
        for one in answers:
            answer(bellhop, first, one)

    return then


def in_turn(*each: Then) -> Then:
    def then(bellhop: Bellhop, first: str) -> None:
        for one in each:
            one(bellhop, first)

    return then


def later(**given: float) -> Then:
    return lambda bellhop, _first: deliver(bellhop, timedelta(**given).total_seconds())


@dataclass(frozen=True)
class Case:
    """A kind of message, the step after its deletion, and the expected channel."""

    first: Mapping[str, Any]
    then: Then
    shows: Sequence[str]


CASES = {
    "plain": Case({}, lambda bellhop, _first: send(bellhop, "second"), ["second"]),
    "new with a key": Case({"key": KEY, "mode": "new"}, repeated("new"), ["second", "third"]),
    "update": Case({"key": KEY, "mode": "update"}, repeated("update"), ["third"]),
    "thread": Case(
        {"key": KEY, "mode": "thread"}, repeated("thread"), ["second", "second > third"]
    ),
    "thread, then update": Case(
        {"key": KEY, "mode": "thread"},
        in_turn(
            repeated("thread"),
            lambda bellhop, _first: send(bellhop, "first", key=KEY, mode="update"),
        ),
        ["first", "first > third"],
    ),
    "incident, acknowledged": Case(INCIDENT, answered("acknowledge"), ["first acknowledged"]),
    "incident, answered twice": Case(
        INCIDENT, answered("acknowledge", "assign"), ["first assigned"]
    ),
    "incident, resolved in the end": Case(
        INCIDENT, answered("acknowledge", "resolve"), ["first resolved"]
    ),
    "incident, resolved": Case(INCIDENT, answered("resolve"), []),
    "incident, muted": Case(INCIDENT, answered("mute"), []),
    "incident, snoozed": Case(INCIDENT, answered("snooze"), []),
    "incident reminder": Case(
        INCIDENT, in_turn(answered("snooze"), later(hours=1)), ["first", "first > over"]
    ),
    "incident, continued": Case(
        INCIDENT | {"key": KEY},
        in_turn(answered("acknowledge"), repeated("thread", **INCIDENT)),
        [
            "first acknowledged",
            "first acknowledged > second acknowledged",
            "first acknowledged > third acknowledged",
        ],
    ),
    "incident, continued and then acknowledged": Case(
        INCIDENT | {"key": KEY},
        in_turn(
            lambda bellhop, _first: send(bellhop, "second", key=KEY, mode="thread", **INCIDENT),
            answered("acknowledge"),
        ),
        ["second acknowledged"],
    ),
    "escalation": Case(
        INCIDENT | {"escalate": {"after": 600}},
        in_turn(later(minutes=11), answered("acknowledge")),
        ["first acknowledged"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_deleted_message_of_each_kind(installed: Bellhop, name: str) -> None:
    case = CASES[name]
    first = send(installed, "first", **case.first)
    delete_all(installed)

    case.then(installed, first)

    assert shown(installed) == case.shows


def test_a_deleted_digest_is_replaced_by_the_next(installed: Bellhop) -> None:
    wish = SubscriptionSpec("deploys", digest=Schedule())
    installed.services.subscriptions.subscribe(ACME, GENERAL, wish)
    for _ in range(2):
        for text in ("first", "second"):
            accept(installed, "topic:deploys", text)
        deliver(installed, 3600)
        delete_all(installed)
        for text in ("first", "third"):
            accept(installed, "topic:deploys", text)
        deliver(installed, 3600)

        assert shown(installed) == ["first third"]
        delete_all(installed)


def test_an_escalation_that_was_deleted_is_shown_again(installed: Bellhop) -> None:
    first = send(installed, "first", escalate={"after": 600, "to": RANDOM}, **INCIDENT)
    deliver(installed, 600)
    delete_all(installed, RANDOM)

    answer(installed, first, "acknowledge")

    assert shown(installed, GENERAL) == shown(installed, RANDOM) == ["first acknowledged"]


def test_a_replacement_has_the_buttons_and_link(installed: Bellhop) -> None:
    first = send(installed, "first", **INCIDENT)
    [gone] = delete_all(installed)
    answer(installed, first, "acknowledge")
    [message] = installed.slack.messages(GENERAL)

    assert installed.slack.click(ANN, message, "incident.resolve").error is None
    deliver(installed)

    assert shown(installed) == ["first resolved"]
    assert installed.services.history.find_by_message(ACME, GENERAL, message.ts) == first
    assert installed.services.history.find_by_message(ACME, GENERAL, gone.ts) is None
    report = installed.services.history.find(ACME, first)
    assert report is not None
    [link] = [one.permalink for one in installed.services.permalinks.add(ACME, report).deliveries]
    assert message.ts.replace(".", "") in str(link)


def test_replies_of_another_source_take_no_ones_place(installed: Bellhop) -> None:
    first = send(installed, "first", key=KEY, mode="thread", source="ours")
    [gone] = delete_all(installed)
    send(installed, "second", thread_ts=gone.ts, source="theirs", key="theirs", mode="new")
    assert states(installed, first) == ["sent"]

    send(installed, "third", key=KEY, mode="thread", source="ours")

    assert shown(installed) == ["second", "third"]


@pytest.mark.both_databases
def test_a_sender_that_guesses_the_ts_of_its_reply_stops_nothing(installed: Bellhop) -> None:
    first = send(installed, "first")
    [mine] = deliveries(installed, first)
    with installed.services.database.writing() as session:
        # Slack posts a reply to nothing in the channel: the message would take its own place.
        session.execute(
            update(Delivery).where(Delivery.id == mine.id).values(replaced_ts=Delivery.ts)
        )

    second = send(installed, "second", thread_ts=mine.ts)

    assert states(installed, second) == ["sent"]


@pytest.mark.both_databases
def test_the_search_for_a_replacement_is_bounded(
    installed: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaced_messages, "MOST_REPLACEMENTS", 1)
    first = send(installed, "first")
    [root] = deliveries(installed, first)
    assert root.ts is not None
    for text in ("second", "third"):
        delete_all(installed)
        send(installed, text, thread_ts=root.ts)
    delete_all(installed)

    last = send(installed, "last", thread_ts=root.ts)

    assert states(installed, last) == ["sent"]
    [delivery] = deliveries(installed, last)
    # The first replacement of the root, and not the second.
    with installed.services.database.reading() as session:
        replaced = session.get_one(Delivery, delivery.id).replaced_ts
        replacements = select(Delivery.ts).where(Delivery.replaced_ts == root.ts)
        assert replaced in session.scalars(replacements).all()


def test_a_reminder_alone_begins_a_thread(installed: Bellhop) -> None:
    """Its message is deleted between the end of the snooze and the reminder."""
    first = send(installed, "first", key=KEY, **INCIDENT)
    answer(installed, first, "snooze")
    hand = Hand(installed)
    installed.clock.advance(3600)
    hand.deliver()
    delete_all(installed)
    deliver(installed)
    repeated("thread")(installed, first)

    assert shown(installed) == ["over", "over > second", "over > third"]


class TestThreadsNamedBySenders:
    def test_replies_stay_together(self, installed: Bellhop) -> None:
        installed.slack.post_as(BEN, GENERAL, "release 7")
        [root] = delete_all(installed)

        ids = [send(installed, text, thread_ts=root.ts) for text in ("first", "second", "third")]

        assert shown(installed) == ["first", "first > second", "first > third"]
        assert states(installed, *ids) == ["sent"] * 3

    def test_they_move_with_each_deleted_message(self, installed: Bellhop) -> None:
        installed.slack.post_as(BEN, GENERAL, "release 7")
        [root] = delete_all(installed)
        send(installed, "first", thread_ts=root.ts)
        delete_all(installed)

        for text in ("second", "third"):
            send(installed, text, thread_ts=root.ts)

        assert shown(installed) == ["second", "second > third"]

    def test_a_reply_with_another_key_does_not_take_over_the_incident(
        self, installed: Bellhop
    ) -> None:
        first = send(installed, "first", key=KEY, **INCIDENT)
        [root] = delete_all(installed)
        send(installed, "second", key="other", mode="thread", thread_ts=root.ts)

        answer(installed, first, "acknowledge")

        assert shown(installed) == ["second", "first acknowledged"]


def test_a_deleted_message_with_replies_gets_further_replies(installed: Bellhop) -> None:
    send(installed, "first", key=KEY, mode="thread")
    [root] = installed.slack.messages(GENERAL)
    send(installed, "second", key=KEY, mode="thread")
    with installed.slack.edit():
        root.deleted = True

    send(installed, "third", key=KEY, mode="thread")

    assert shown(installed) == ["deleted > second", "deleted > third"]


def send_as_ci(bellhop: Bellhop, **given: Any) -> str:
    wanted = NotificationRequest.model_validate({"to": GENERAL, "text": "first", **given})
    answer = bellhop.services.intake.submit(Sender(ACME, CI.name), [wanted])
    deliver(bellhop)
    return answer.notifications[0].id


@pytest.mark.both_databases
@pytest.mark.parametrize("is_deleted", [True, False])
@pytest.mark.parametrize("cancels_all", [False, True])
def test_a_cancelled_notification_is_not_posted_again(
    installed: Bellhop, cancels_all: bool, is_deleted: bool
) -> None:
    """The end of a snooze updates the message, if it still exists."""
    first = send_as_ci(installed, **INCIDENT)
    answer(installed, first, "snooze")
    [message] = installed.slack.messages(GENERAL)
    assert "Snoozed" in json.dumps(message.attachments)
    if is_deleted:
        delete_all(installed)
    history = installed.services.history

    if cancels_all:
        history.cancel_all(CI)
    else:
        history.cancel(ACME, first)
    deliver(installed, 3600)

    assert shown(installed) == ([] if is_deleted else ["first"])
    assert is_deleted or "Snoozed" not in json.dumps(message.attachments)
    assert states(installed, first)[0] == "sent"


@pytest.mark.both_databases
@pytest.mark.parametrize("cancels_all", [False, True])
def test_a_cancelled_notification_is_not_posted_again_by_a_later_answer(
    installed: Bellhop, cancels_all: bool
) -> None:
    first = send_as_ci(installed, **INCIDENT)
    answer(installed, first, "resolve")
    if cancels_all:
        installed.services.history.cancel_all(CI)
    else:
        installed.services.history.cancel(ACME, first)
    delete_all(installed)

    answer(installed, first, "reopen")
    answer(installed, first, "snooze")
    deliver(installed, 3600)

    assert "first" not in " ".join(shown(installed))


def test_an_expired_notification_is_not_posted_again(installed: Bellhop) -> None:
    ends = (installed.clock() + timedelta(minutes=30)).isoformat()
    first = send_as_ci(installed, expires_at=ends, **INCIDENT)
    answer(installed, first, "snooze")
    delete_all(installed)

    deliver(installed, 3600)

    assert "first" not in " ".join(shown(installed))


def test_a_message_that_a_later_notification_updated_outlives_the_cancelled_one(
    installed: Bellhop,
) -> None:
    first = send_as_ci(installed, key=KEY, **INCIDENT)
    answer(installed, first, "snooze")
    send_as_ci(installed, key=KEY, text="second", **INCIDENT)
    delete_all(installed)

    installed.services.history.cancel(ACME, first)
    deliver(installed, 3600)

    assert [one for one in shown(installed) if "second" in one]


@pytest.mark.both_databases
@pytest.mark.parametrize("fault", ["lost_answer", "ratelimited"])
def test_a_message_posted_again_in_doubt_is_posted_once(installed: Bellhop, fault: str) -> None:
    first = send(installed, "first", **INCIDENT)
    delete_all(installed)
    if fault == "lost_answer":
        installed.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    else:
        installed.slack.faults.add(
            Fault("chat.postMessage", "rate_limited", times=1, retry_after=1)
        )

    answer(installed, first, "acknowledge")
    deliver(installed, 30)
    answer(installed, first, "resolve")

    assert shown(installed) == ["first resolved"]
    [message] = installed.slack.messages(GENERAL)
    assert {one.ts for one in deliveries(installed, first)} == {message.ts}
