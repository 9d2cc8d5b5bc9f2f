"""Recipients' rights are checked at delivery, not at intake."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bolt_app.access.authorization import STALE_AFTER, Role
from bolt_app.fair_limit import share_of_one
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.workspaces.lookup_budgets import BUDGETS, USERS_INFO, Purpose
from bolt_app.workspaces.users import OPEN
from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept, deliveries, states
from tests.people import ACME, ANN, BEA, BEN, GENERAL
from tests.running import Bellhop, running_bellhop
from tests.web.methods.calling import method_caller

pytestmark = pytest.mark.sqlite_only

GUEST = "U0GUS00001"
HOUR = 3600.0
# Of the lookups that deliveries may cause, for one sender.
PEOPLE, CONVERSATIONS = (
    share_of_one(BUDGETS[name][Purpose.DELIVERY]) for name in (USERS_INFO, OPEN)
)


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def in_an_hour(bellhop: Bellhop) -> str:
    return str((bellhop.clock() + timedelta(seconds=HOUR)).isoformat())


def become(bellhop: Bellhop, user_id: str, **facts: Any) -> None:
    """Change a person without an event, as if Slack gave up sending it."""
    for name, value in facts.items():
        setattr(bellhop.slack.users[user_id], name, value)


def deliver(bellhop: Bellhop, *, after: float = HOUR) -> None:
    bellhop.clock.advance(after)
    Hand(bellhop).deliver()


def outcome(bellhop: Bellhop, id_: str) -> list[tuple[str, str | None]]:
    return [(one.state, one.error) for one in deliveries(bellhop, id_)]


DENIED = "recipient_denied"
CHANGES = [{"is_restricted": True}, {"deleted": True}, {"team_id": "T0BETA0001"}]


@pytest.mark.parametrize("facts", CHANGES)
def test_a_subscription_delivers_nothing_to_people_who_may_not_subscribe_now(
    installed: Bellhop, facts: dict[str, Any]
) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    id_ = accept(installed, "topic:payroll", "x", send_at=in_an_hour(installed))
    become(installed, BEN, **facts)

    deliver(installed)

    assert outcome(installed, id_) == [("cancelled", DENIED)]
    assert installed.slack.messages(installed.slack.app_dm(ACME, BEN).id) == []


@pytest.mark.parametrize(
    ("facts", "state"), [(CHANGES[0], "sent"), (CHANGES[1], "dead"), (CHANGES[2], "dead")]
)
def test_a_direct_notification_reaches_only_its_person(
    installed: Bellhop, facts: dict[str, Any], state: str
) -> None:
    id_ = accept(installed, BEN, "x", send_at=in_an_hour(installed))
    become(installed, BEN, **facts)

    deliver(installed)

    assert outcome(installed, id_) == [(state, None if state == "sent" else DENIED)]


@pytest.mark.parametrize("facts", CHANGES[1:])
def test_a_changed_direct_message_does_not_reach_people_who_left(
    installed: Bellhop, facts: dict[str, Any]
) -> None:
    sender = method_caller(installed)
    ts = sender.ok("chat.postMessage", channel=BEN, text="old")["ts"]
    deliver(installed, after=0)
    become(installed, BEN, **facts)
    sender.ok("chat.update", channel=BEN, ts=ts, text="confidential")
    deliver(installed)

    [message] = installed.slack.messages(installed.slack.app_dm(ACME, BEN).id)
    assert message.text == "old"
    sender.ok("chat.delete", channel=BEN, ts=ts)
    deliver(installed)
    assert installed.slack.messages(installed.slack.app_dm(ACME, BEN).id) == []


@pytest.mark.parametrize(("facts", "state"), [(CHANGES[0], "sent"), (CHANGES[2], DENIED)])
def test_an_ephemeral_direct_message_reaches_only_its_person(
    installed: Bellhop, facts: dict[str, Any], state: str
) -> None:
    sender = method_caller(installed)
    conversation = sender.ok("conversations.open", users=BEN)["channel"]["id"]
    become(installed, BEN, **facts)
    arguments = {"channel": conversation, "text": "x"}

    answer = sender.call("chat.postEphemeral", user=BEN, **arguments)

    assert answer.get("error", "sent") == state
    assert sender.error("chat.postEphemeral", user=ANN, **arguments) == "user_not_in_channel"


def test_invented_people_do_not_use_up_slacks_limit(installed: Bellhop) -> None:
    before = len(installed.slack.calls_to(USERS_INFO))
    invented = [accept(installed, f"U0NOBODY{n:02}", "x") for n in range(2 * PEOPLE)]
    others = accept(installed, GENERAL, "x")

    deliver(installed, after=0)

    assert states(installed, others) == ["sent"]
    assert len(installed.slack.calls_to(USERS_INFO)) == before + PEOPLE
    installed.services.access.person_changed(BEN)
    assert installed.services.access.person(ACME, BEN).role is Role.MEMBER
    for _ in range(4):
        deliver(installed, after=60)
    assert {state for id_ in invented for state in states(installed, id_)} == {"dead"}


def test_a_digest_is_what_its_subscriptions_are(installed: Bellhop) -> None:
    subscriptions, hourly = installed.services.subscriptions, Schedule.read("hourly", "UTC")
    for topic in ("payroll", "hr"):
        subscriptions.subscribe(ACME, BEN, SubscriptionSpec(topic, digest=hourly))
        accept(installed, f"topic:{topic}", "x")
    become(installed, BEN, is_restricted=True)

    deliver(installed)

    assert installed.slack.messages(installed.slack.app_dm(ACME, BEN).id) == []


def test_an_escalation_by_a_subscription_is_one_of_it(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    escalate = {"to": "topic:payroll", "after": HOUR}
    id_ = accept(installed, GENERAL, "x", actions=["acknowledge"], escalate=escalate)
    become(installed, BEN, is_restricted=True)

    deliver(installed, after=0)
    deliver(installed)

    assert [one.error for one in deliveries(installed, id_)] == [None, DENIED]


def test_guests_get_what_they_subscribed_to_where_they_may_subscribe(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    with running_bellhop(database_url, encryption_key, clock, subscriptions_by="anyone") as bellhop:
        bellhop.install(ANN)
        bellhop.services.subscriptions.subscribe(ACME, GUEST, SubscriptionSpec("deploys"))
        id_ = accept(bellhop, "topic:deploys", "x")
        Hand(bellhop).deliver()

        assert states(bellhop, id_) == ["sent"]


def test_an_address_that_is_another_persons_by_now_leads_to_nobody(installed: Bellhop) -> None:
    address = f"@{installed.slack.users[BEN].email}"
    later = accept(installed, address, "later", send_at=in_an_hour(installed))
    accept(installed, address, "now")
    deliver(installed, after=0)
    become(installed, ANN, email=installed.slack.users[BEN].email)
    become(installed, BEN, email="ben@elsewhere.example")

    deliver(installed)

    assert outcome(installed, later) == [("dead", "users_not_found")]


@pytest.mark.parametrize("is_linked", [False, True])
def test_an_address_does_not_lead_to_the_linked_person_who_had_it(
    installed: Bellhop, is_linked: bool
) -> None:
    address = f"@{installed.slack.users[ANN].email}"
    later = accept(installed, address, "later", send_at=in_an_hour(installed))
    accept(installed, address, "now")
    deliver(installed, after=5)
    become(installed, BEN, email=installed.slack.users[ANN].email)
    become(installed, ANN, email="ann@elsewhere.example")
    if is_linked:
        installed.install(BEN, query="?only=profile")
        current = accept(installed, address, "current")
        deliver(installed, after=5)
        assert outcome(installed, current) == [("sent", None)]

    deliver(installed)

    assert outcome(installed, later) == [("dead", "users_not_found")]
    accept(installed, address, "for Ben")
    deliver(installed, after=5)
    texts = {
        user_id: [one.text for one in installed.slack.messages(dm.id)]
        for user_id in (ANN, BEN)
        for dm in [installed.slack.app_dm(ACME, user_id)]
    }
    assert not {"later", "current", "for Ben"}.intersection(texts[ANN])
    assert "for Ben" in texts[BEN]
    assert "later" not in texts[BEN]


def test_a_person_of_another_organization_gets_no_direct_message(installed: Bellhop) -> None:
    installed.slack.share_channel(GENERAL, BEA)
    id_ = accept(installed, BEA, "x")

    deliver(installed, after=0)

    assert outcome(installed, id_) == [("dead", DENIED)]


def test_deliveries_wait_while_slack_does_not_report_the_person(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("deploys"))
    id_ = accept(installed, "topic:deploys", "x")
    installed.slack.faults.add(Fault("users.info", "server_error", times=1))

    deliver(installed, after=0)
    assert outcome(installed, id_) == [("waiting", "unavailable")]

    deliver(installed)
    assert outcome(installed, id_) == [("sent", None)]


def test_slack_is_asked_once_a_minute_about_a_person(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("deploys"))
    asked = len(installed.slack.calls_to("users.info"))
    for _ in range(3):
        accept(installed, "topic:deploys", "x")
        deliver(installed, after=STALE_AFTER.total_seconds() / 4)

    assert len(installed.slack.calls_to("users.info")) == asked + 1


def test_a_linked_person_is_not_asked_about_for_what_is_addressed_to_them(
    installed: Bellhop,
) -> None:
    installed.clock.advance(HOUR)
    asked = len(installed.slack.calls_to("users.info"))
    id_ = accept(installed, ANN, "x")

    deliver(installed, after=0)

    assert states(installed, id_) == ["sent"]
    assert len(installed.slack.calls_to("users.info")) == asked


# A conversation's own id leads to the person in it.


def conversation_of(bellhop: Bellhop, user_id: str) -> str:
    accept(bellhop, user_id, "the first message opens it")
    deliver(bellhop, after=0)
    return bellhop.slack.app_dm(ACME, user_id).id


@pytest.mark.parametrize(
    ("facts", "state"), [(CHANGES[0], "sent"), (CHANGES[1], "dead"), (CHANGES[2], "dead")]
)
def test_what_is_addressed_to_a_conversation_is_for_its_person(
    installed: Bellhop, facts: dict[str, Any], state: str
) -> None:
    conversation = conversation_of(installed, BEN)
    id_ = accept(installed, conversation, "x", send_at=in_an_hour(installed))
    become(installed, BEN, **facts)

    deliver(installed)

    assert outcome(installed, id_) == [(state, None if state == "sent" else DENIED)]


@pytest.mark.parametrize("facts", CHANGES)
def test_a_subscription_of_a_conversation_is_its_persons(
    installed: Bellhop, facts: dict[str, Any]
) -> None:
    conversation = conversation_of(installed, BEN)
    installed.services.subscriptions.subscribe(ACME, conversation, SubscriptionSpec("payroll"))
    id_ = accept(installed, "topic:payroll", "x", send_at=in_an_hour(installed))
    become(installed, BEN, **facts)

    deliver(installed)

    assert outcome(installed, id_) == [("cancelled", DENIED)]
    [found] = installed.services.subscriptions.of_address(ACME, BEN)
    assert found.spec.topic == "payroll"


def test_what_the_person_of_a_conversation_chose_counts(installed: Bellhop) -> None:
    conversation = conversation_of(installed, BEN)
    wish = NotificationPreferences(direct="hourly", tz="UTC")
    installed.services.preferences.choose(ACME, BEN, wish)

    id_ = accept(installed, conversation, "x")
    deliver(installed, after=0)

    assert states(installed, id_) == ["held"]


def test_slack_is_asked_once_whose_conversation_it_is(installed: Bellhop) -> None:
    conversation = conversation_of(installed, BEN)
    asked = len(installed.slack.calls_to("conversations.open"))
    for address in (conversation, "D0NOBODY01") * 3:
        accept(installed, address, "x")
        deliver(installed, after=5)

    assert len(installed.slack.calls_to("conversations.open")) == asked + 2


def test_invented_conversations_make_few_calls(installed: Bellhop) -> None:
    for number in range(CONVERSATIONS + 5):
        accept(installed, f"D0NOBODY{number:02}", "x")

    deliver(installed, after=0)

    assert len(installed.slack.calls_to("conversations.open")) == CONVERSATIONS


def test_a_conversation_without_the_bot_leads_to_nobody(installed: Bellhop) -> None:
    id_ = accept(installed, "D0NOBODY01", "x")

    deliver(installed, after=0)

    assert outcome(installed, id_) == [("dead", "channel_not_found")]


@pytest.mark.parametrize("facts", CHANGES)
def test_a_message_that_was_deleted_is_not_posted_again_to_who_may_not_receive_it(
    installed: Bellhop, facts: dict[str, Any]
) -> None:
    """An answer shows the message of an incident again."""
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    id_ = accept(installed, "topic:payroll", "x", actions=["acknowledge"])
    deliver(installed, after=0)
    conversation = installed.slack.app_dm(ACME, BEN).id
    with installed.slack.edit():
        for message in installed.slack.messages(conversation):
            message.deleted = True
    become(installed, BEN, **facts)
    installed.clock.advance(HOUR)

    assert installed.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.ACKNOWLEDGE)
    deliver(installed)

    assert installed.slack.messages(conversation) == []
    assert [one.error for one in deliveries(installed, id_)] == [None, DENIED]


def test_a_reminder_by_a_subscription_is_one_of_it(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    id_ = accept(installed, "topic:payroll", "x", actions=["snooze"])
    deliver(installed, after=0)
    later = timedelta(seconds=HOUR / 2)
    installed.services.incidents.answer(ACME, id_, BEN, IncidentAnswer.SNOOZE, later)
    deliver(installed, after=0)
    conversation = installed.slack.app_dm(ACME, BEN).id
    before = len(installed.slack.messages(conversation))
    become(installed, BEN, is_restricted=True)

    for after in (HOUR, 2, 2):
        deliver(installed, after=after)

    assert len(installed.slack.messages(conversation)) == before
    assert ("cancelled", DENIED) in outcome(installed, id_)


def test_a_message_is_still_refreshed_when_its_subscription_ends_with_its_person(
    installed: Bellhop,
) -> None:
    """The refresh may be the one by which another erased name leaves the message."""
    installed.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("payroll"))
    id_ = accept(installed, "topic:payroll", "x", actions=["acknowledge"])
    deliver(installed, after=0)
    assert installed.services.incidents.answer(ACME, id_, ANN, IncidentAnswer.ACKNOWLEDGE)

    installed.slack.update_user(BEN, deleted=True)
    installed.slack.deliver_due()
    assert not installed.services.subscriptions.of_address(ACME, BEN)
    deliver(installed, after=2)

    assert states(installed, id_) == ["sent", "sent"]
