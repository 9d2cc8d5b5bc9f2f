"""Channels with a new id: everything stored with the old id follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db.models import Channel, UserInstallation
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, deliveries, states, texts
from tests.people import ACME, ANN, BEN
from tests.running import Bellhop
from tests.stored_values import places_of
from tests.web.methods.calling import method_caller

pytestmark = pytest.mark.sqlite_only

# Columns that keep the old id, with the reason.
KEPT = {
    ("channel_moves", "old_id"): "the move itself",
    ("deliveries", "target"): "as its sender wrote it",
    ("api_keys", "channels"): "senders may name either id",
    ("audit_events", "credential"): "the past",
    ("event_times", "subject"): "of events about that id",
}


@pytest.fixture
def private(bellhop: Bellhop) -> str:
    """A private channel that Bellhop is a member of."""
    bellhop.install(ANN)
    channel = bellhop.slack.add_channel(ACME, "leads-2", members=[ANN], is_private=True)
    bellhop.slack.invite_bot(ANN, channel.id)
    bellhop.slack.deliver_due()
    bellhop.services.channels.refresh_listing(bellhop.services.client.find_workspace(ACME))
    return channel.id


def deliver(bellhop: Bellhop, seconds: float = 5) -> None:
    bellhop.clock.advance(seconds)
    hand = Hand(bellhop)
    for _ in range(3):
        hand.deliver()
        bellhop.clock.advance(8)


def fill(bellhop: Bellhop, channel_id: str) -> str:
    """Put the channel into every table that has channels; return an incident's notification."""
    services = bellhop.services
    services.subscriptions.subscribe(
        ACME, channel_id, SubscriptionSpec("deploys", digest=Schedule())
    )
    services.webhooks.create(ACME, "Grafana", [channel_id, ANN])
    services.api_keys.create(ACME, "ci", channels=[channel_id])
    incident = accept(
        bellhop, channel_id, "down", key="db", actions=["acknowledge", "snooze", "resolve"]
    )
    deliver(bellhop)
    report = services.history.find(ACME, incident)
    assert report is not None
    services.permalinks.add(ACME, report)
    assert services.incidents.answer(ACME, incident, BEN, IncidentAnswer.SNOOZE)
    accept(bellhop, "topic:deploys", "held")
    accept(bellhop, channel_id, "scheduled", delay=600)
    deliver(bellhop)
    accept(bellhop, channel_id, "waiting")
    with services.database.writing() as session:
        session.execute(update(UserInstallation).values(incoming_webhook_channel_id=channel_id))
    return incident


def columns_with(bellhop: Bellhop, channel_id: str) -> set[tuple[str, str]]:
    """Return the tables and columns that contain an id."""
    found = places_of(bellhop.services.database, channel_id)
    return {(table, column) for table, columns in found.items() for column in columns}


def move_unnoticed(bellhop: Bellhop, channel_id: str) -> str:
    """Change a channel's id while the app is unreachable; Slack retries the event later."""
    bellhop.slack.set_app_url("http://127.0.0.1:1")
    moved = bellhop.slack.change_channel_id(channel_id).id
    bellhop.slack.deliver_due()
    bellhop.slack.set_app_url(bellhop.url)
    return moved


def moved_event(old_id: str, new_id: str) -> dict[str, Any]:
    return {"type": "channel_id_changed", "old_channel_id": old_id, "new_channel_id": new_id}


def in_order(ids: Sequence[str]) -> list[dict[str, Any]]:
    return [moved_event(ids[0], ids[1]), moved_event(ids[1], ids[2])]


ORDERS: dict[str, Callable[[Sequence[str]], list[dict[str, Any]]]] = {
    "in order": in_order,
    "out of order": lambda ids: in_order(ids)[::-1],
    "repeated": lambda ids: in_order(ids) * 2,
    "repeated out of order": lambda ids: in_order(ids)[::-1] + in_order(ids),
    "the last one first and again": lambda ids: [*in_order(ids)[::-1], in_order(ids)[1]],
}


@pytest.mark.both_databases
@pytest.mark.parametrize("name", ORDERS)
def test_everything_follows_over_two_moves(bellhop: Bellhop, private: str, name: str) -> None:
    incident = fill(bellhop, private)
    before = columns_with(bellhop, private)
    second = move_unnoticed(bellhop, private)
    third = move_unnoticed(bellhop, second)

    for event in ORDERS[name]((private, second, third)):
        bellhop.slack.send_event(ACME, event)

    left = columns_with(bellhop, private) | columns_with(bellhop, second)
    assert before - KEPT.keys() >= {
        ("channels", "channel_id"),
        ("deliveries", "channel_id"),
        ("deliveries", "permalink"),
        ("webhooks", "target"),
        ("lanes", "address"),
        ("subscriptions", "address"),
        ("installations", "incoming_webhook_channel_id"),
    }
    assert left <= KEPT.keys()
    deliver(bellhop, 3600)
    deliver(bellhop)
    assert_all_is_there(bellhop, third, incident)


def assert_all_is_there(bellhop: Bellhop, channel_id: str, incident: str) -> None:
    [first, *rest] = bellhop.slack.messages(channel_id)
    said = json.dumps([[one.text, one.blocks, one.attachments] for one in rest])
    for words in ("held", "scheduled", "waiting", "snooze is over"):
        assert words in said
    assert [one.state for one in deliveries(bellhop, incident)].count("dead") == 0
    # The message keeps its buttons, and later notifications find it.
    assert bellhop.slack.click(ANN, first, "incident.acknowledge").error is None
    deliver(bellhop)
    assert "Acknowledged by" in json.dumps(first.attachments + first.blocks)
    accept(bellhop, channel_id, "up again", key="db")
    deliver(bellhop)
    assert "up again" in first.text + json.dumps(first.attachments)


def test_an_old_id_that_senders_name_later_means_the_new_one(
    bellhop: Bellhop, private: str
) -> None:
    moved = bellhop.slack.change_channel_id(private).id
    bellhop.slack.deliver_due()

    ids = [accept(bellhop, one, "x") for one in (private, moved)]
    deliver(bellhop)

    assert states(bellhop, *ids) == ["sent", "sent"]
    assert len(bellhop.slack.messages(moved)) == 2
    assert len({one.lane_id for id_ in ids for one in deliveries(bellhop, id_)}) == 1


def test_a_key_with_a_limit_may_name_either_id(bellhop: Bellhop, private: str) -> None:
    secret = bellhop.services.api_keys.create(ACME, "ci", channels=[private])
    post = {"Authorization": f"Bearer {secret}"}

    def status(channel_id: str) -> int:
        document = {"to": channel_id, "text": "x"}
        return (
            bellhop.app.test_client()
            .post("/api/v1/notifications", json=document, headers=post)
            .status_code
        )

    assert status(private) == 202
    moved = move_unnoticed(bellhop, private)
    assert status(moved) == 403
    bellhop.slack.send_event(ACME, moved_event(private, moved))

    assert (status(private), status(moved)) == (202, 202)


def test_deliveries_that_failed_before_the_event_are_sent_after_it(
    bellhop: Bellhop, private: str
) -> None:
    moved = move_unnoticed(bellhop, private)
    early = accept(bellhop, private, "early")
    Hand(bellhop).deliver()
    [lost] = deliveries(bellhop, early)
    assert (lost.state, lost.error) == ("dead", "channel_not_found")

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop)

    assert states(bellhop, early) == ["sent"]
    assert [one.text for one in bellhop.slack.messages(moved)] == ["early"]


@pytest.mark.both_databases
@pytest.mark.parametrize(("on_unknown", "copies"), [("hold", 1), ("resend", 2)])
def test_what_may_be_in_slack_is_sent_again_only_if_its_sender_wants(
    bellhop: Bellhop, private: str, on_unknown: str, copies: int
) -> None:
    hand = Hand(bellhop)
    hand.deliver()
    bellhop.slack.faults.add(Fault("chat.postMessage", "lost_answer", times=1))
    in_doubt = accept(bellhop, private, "once", on_unknown=on_unknown)
    hand.deliver()
    moved = move_unnoticed(bellhop, private)
    deliver_some(hand)
    assert [one.error for one in deliveries(bellhop, in_doubt)] == ["channel_not_found"]

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver_some(hand)

    assert texts(bellhop, moved) == ["once"] * copies


def test_what_a_later_notification_replaced_is_not_sent_after_it(
    bellhop: Bellhop, private: str
) -> None:
    moved = move_unnoticed(bellhop, private)
    fires = accept(bellhop, private, "fires", key="disk")
    Hand(bellhop).deliver()
    ends = accept(bellhop, moved, "ends", key="disk")
    deliver(bellhop)
    assert (states(bellhop, fires), states(bellhop, ends)) == (["dead"], ["sent"])

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop)

    assert states(bellhop, fires) == ["dead"]
    assert [one.text for one in bellhop.slack.messages(moved)] == ["ends"]


def test_a_delivery_in_flight_goes_to_the_new_id(bellhop: Bellhop, private: str) -> None:
    id_ = accept(bellhop, private, "on its way")
    hand = Hand(bellhop)
    moved: list[str] = []

    def move_once() -> None:
        if not moved:
            moved.append(bellhop.slack.change_channel_id(private).id)
            bellhop.slack.deliver_due()

    hand.ownership.before_request = move_once
    hand.deliver()
    bellhop.clock.advance(30)
    hand.deliver()

    assert states(bellhop, id_) == ["sent"]
    assert [one.text for one in bellhop.slack.messages(moved[0])] == ["on its way"]


def deliver_some(hand: Hand) -> None:
    for _ in range(4):
        hand.bellhop.clock.advance(10)
        hand.deliver()


def lose_answer(bellhop: Bellhop, _hand: Hand) -> None:
    bellhop.slack.faults.add(Fault("chat.postMessage", "server_error", times=1))


def lose_commit(_bellhop: Bellhop, hand: Hand) -> None:
    """Let the next commit of the worker, which begins an attempt, not be confirmed."""
    store = hand.dispatcher._store
    commit = store.commit

    def commit_once(*given: Any, **named: Any) -> None:
        setattr(store, "commit", commit)  # noqa: B010
        commit(*given, **named)
        raise OperationalError("COMMIT", None, Exception("the connection was closed"))

    setattr(store, "commit", commit_once)  # noqa: B010


@pytest.mark.both_databases
@pytest.mark.parametrize("lose", [lose_answer, lose_commit])
def test_an_attempt_in_doubt_is_in_the_lane_that_two_become(
    bellhop: Bellhop, private: str, lose: Callable[[Bellhop, Hand], None]
) -> None:
    hand = Hand(bellhop)
    hand.deliver()
    lose(bellhop, hand)
    in_doubt = accept(bellhop, private, "in doubt")
    hand.deliver()
    assert states(bellhop, in_doubt) == ["sending"]
    moved = move_unnoticed(bellhop, private)
    early = accept(bellhop, moved, "early")
    bellhop.slack.send_event(ACME, moved_event(private, moved))

    deliver_some(hand)

    assert states(bellhop, in_doubt, early) == ["sent", "sent"]
    assert sorted(texts(bellhop, moved)) == ["early", "in doubt"]


@pytest.mark.both_databases
def test_a_reminder_in_flight_goes_to_the_new_id(bellhop: Bellhop, private: str) -> None:
    hand = Hand(bellhop)
    incident = accept(bellhop, private, "down", key="db", actions=["snooze"])
    hand.deliver()
    snooze = (IncidentAnswer.SNOOZE, timedelta(minutes=30))
    assert bellhop.services.incidents.answer(ACME, incident, ANN, *snooze)
    deliver_some(hand)
    bellhop.clock.advance(1800)
    moved: list[str] = []

    def move_during_reminder() -> None:
        modes = {one.mode for one in deliveries(bellhop, incident) if one.state == "sending"}
        if "remind" in modes and not moved:
            moved.append(bellhop.slack.change_channel_id(private).id)
            bellhop.slack.deliver_due()

    hand.ownership.before_request = move_during_reminder
    deliver_some(hand)
    other = accept(bellhop, moved[0], "another sender's")
    deliver_some(hand)

    assert set(states(bellhop, incident, other)) == {"sent"}
    [first, *others] = bellhop.slack.messages(moved[0])
    [reminder] = [one for one in others if one.thread_ts == first.ts]
    assert "snooze is over" in json.dumps([reminder.text, reminder.blocks])
    assert "another sender's" in texts(bellhop, moved[0])


@pytest.mark.both_databases
def test_held_notifications_stay_when_two_subscriptions_become_one(
    bellhop: Bellhop, private: str
) -> None:
    hourly = SubscriptionSpec("deploys", digest=Schedule())
    bellhop.services.subscriptions.subscribe(ACME, private, hourly)
    held = [accept(bellhop, "topic:deploys", f"held {number}") for number in range(2)]
    moved = move_unnoticed(bellhop, private)
    bellhop.services.subscriptions.subscribe(ACME, moved, hourly)
    held.append(accept(bellhop, "topic:deploys", "held by both"))

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop, 3600)

    assert len(bellhop.services.subscriptions.of_team(ACME)) == 1
    assert sorted(states(bellhop, *held)) == ["cancelled", *["digested"] * 3]
    [digest] = bellhop.slack.messages(moved)
    assert digest.text.startswith("Digest: 3 notifications")


@pytest.mark.both_databases
def test_two_lanes_of_one_channel_become_one(bellhop: Bellhop, private: str) -> None:
    """The new id is used before the event arrives."""
    incident = fill(bellhop, private)
    moved = move_unnoticed(bellhop, private)
    accept(bellhop, moved, "early")
    deliver(bellhop)
    bellhop.slack.send_event(ACME, moved_event(private, moved))

    deliver(bellhop, 3600)
    deliver(bellhop)

    assert_all_is_there(bellhop, moved, incident)


@pytest.mark.both_databases
def test_a_listed_channel_is_known_by_its_new_id_alone(bellhop: Bellhop, private: str) -> None:
    moved = move_unnoticed(bellhop, private)
    bellhop.services.channels.refresh_listing(bellhop.services.client.find_workspace(ACME))
    bellhop.slack.send_event(ACME, moved_event(private, moved))

    with bellhop.services.database.reading() as session:
        ids = session.scalars(select(Channel.channel_id).where(Channel.name == "leads-2")).all()
    assert ids == [moved]


def test_a_channel_may_have_its_former_id_again(bellhop: Bellhop, private: str) -> None:
    bellhop.slack.send_event(ACME, moved_event(private, "C0ACME0777"))
    bellhop.slack.send_event(ACME, moved_event("C0ACME0777", private))

    ids = [accept(bellhop, one, "x") for one in (private, "C0ACME0777")]
    deliver(bellhop)

    assert states(bellhop, *ids) == ["sent", "sent"]


def test_what_has_expired_meanwhile_does_not_go_out(bellhop: Bellhop, private: str) -> None:
    moved = move_unnoticed(bellhop, private)
    until = bellhop.clock() + timedelta(minutes=10)
    early = accept(bellhop, private, "early", expires_at=until.isoformat())
    Hand(bellhop).deliver()
    bellhop.clock.advance(3600)

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop)

    assert [(one.state, one.error) for one in deliveries(bellhop, early)] == [
        ("dead", "channel_not_found")
    ]
    assert bellhop.slack.messages(moved) == []


def test_what_was_cancelled_meanwhile_does_not_go_out(bellhop: Bellhop, private: str) -> None:
    moved = move_unnoticed(bellhop, private)
    early = accept(bellhop, private, "early")
    Hand(bellhop).deliver()
    bellhop.services.history.cancel(ACME, early)
    bellhop.clock.advance(1)

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop)

    assert states(bellhop, early) == ["dead"]
    # A person may still want it.
    bellhop.services.history.retry(ACME, early)
    deliver(bellhop)
    assert states(bellhop, early) == ["sent"]


@pytest.mark.both_databases
def test_a_message_that_was_deleted_during_its_attempt_does_not_go_out(
    bellhop: Bellhop, private: str
) -> None:
    ci, hand = method_caller(bellhop), Hand(bellhop)
    ts = ci.ok("chat.postMessage", channel=private, text="early")["ts"]
    moved: list[str] = []

    def delete_meanwhile() -> None:
        if not moved:
            moved.append(move_unnoticed(bellhop, private))
            ci.ok("chat.delete", channel=private, ts=ts)

    hand.ownership.before_request = delete_meanwhile
    hand.deliver()
    deliver(bellhop)

    bellhop.slack.send_event(ACME, moved_event(private, moved[0]))
    deliver(bellhop)

    assert bellhop.slack.messages(moved[0]) == []


@pytest.mark.both_databases
def test_a_message_that_was_changed_during_its_attempt_goes_out_changed(
    bellhop: Bellhop, private: str
) -> None:
    ci, hand = method_caller(bellhop), Hand(bellhop)
    ts = ci.ok("chat.postMessage", channel=private, text="early")["ts"]
    moved: list[str] = []

    def change_meanwhile() -> None:
        if not moved:
            moved.append(move_unnoticed(bellhop, private))
            ci.ok("chat.update", channel=private, ts=ts, text="late")

    hand.ownership.before_request = change_meanwhile
    hand.deliver()
    deliver(bellhop)

    bellhop.slack.send_event(ACME, moved_event(private, moved[0]))
    deliver(bellhop)

    assert [one.text for one in bellhop.slack.messages(moved[0])] == ["late"]


def test_what_a_revoked_key_sent_does_not_go_out_if_it_was_cancelled(
    bellhop: Bellhop, private: str
) -> None:
    moved, ci = move_unnoticed(bellhop, private), Credential(SourceKind.API_KEY, 1)
    early = NotificationRequest.model_validate({"to": private, "text": "early"})
    sent = bellhop.services.intake.submit(Sender(ACME, ci.name), [early]).notifications[0].id
    Hand(bellhop).deliver()
    assert states(bellhop, sent) == ["dead"]
    bellhop.services.history.cancel_all(ci)
    bellhop.clock.advance(1)

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop)

    assert states(bellhop, sent) == ["dead"]


@pytest.mark.parametrize(("answers", "says"), [(["acknowledge"], []), ([], ["No answer yet"])])
def test_what_was_answered_meanwhile_is_not_escalated(
    bellhop: Bellhop, private: str, answers: Sequence[Any], says: Sequence[str]
) -> None:
    moved = move_unnoticed(bellhop, private)
    escalate = {"to": private, "after": 60}
    incident = accept(bellhop, ANN, "down", key="db", actions=["acknowledge"], escalate=escalate)
    deliver(bellhop)
    deliver(bellhop, 60)
    assert states(bellhop, incident) == ["sent", "dead"]
    for one in answers:
        assert bellhop.services.incidents.answer(ACME, incident, BEN, one)

    bellhop.slack.send_event(ACME, moved_event(private, moved))
    deliver(bellhop)

    assert [one.text.splitlines()[0] for one in bellhop.slack.messages(moved)] == says
