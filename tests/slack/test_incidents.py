"""Incidents over signed HTTP: their buttons and messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.history.errors import AnsweredIncidentError
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.intake.sender import Sender
from bolt_app.severity import COLOURS, SIGNS
from slack_sandbox import Fault
from slack_sandbox.world import Message
from tests.notifications.hand import Hand, accept, deliveries, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"
ALL = ["acknowledge", "assign", "resolve", "snooze", "mute"]


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def raised(bellhop: Bellhop, to: str | list[str] = GENERAL, **given: Any) -> str:
    """Post an incident."""
    given = {"title": "Disk full", "severity": "critical", "actions": ALL, **given}
    id_ = accept(bellhop, to, "db1 is at 99 %", **given)
    delivered(bellhop)
    return id_


def delivered(bellhop: Bellhop) -> None:
    """Deliver everything that waits, past the rate limits of the channels."""
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()


def pass_minutes(bellhop: Bellhop, hand: Hand, minutes: int) -> None:
    """Deliver what is due in each minute."""
    for _ in range(minutes):
        hand.deliver()
        bellhop.clock.advance(60)
    hand.deliver()


def message(bellhop: Bellhop, channel_id: str = GENERAL) -> Message:
    return bellhop.slack.messages(channel_id)[-1]


def text_of(bellhop: Bellhop, channel_id: str = GENERAL) -> str:
    one = message(bellhop, channel_id)
    return json.dumps([one.blocks, one.attachments], ensure_ascii=False)


def press(bellhop: Bellhop, answer: str, user_id: str = ANN, channel_id: str = GENERAL) -> None:
    one = message(bellhop, channel_id)
    assert bellhop.slack.click(user_id, one, f"incident.{answer}").error is None
    delivered(bellhop)


def incident(bellhop: Bellhop, notification_id: str) -> Any:
    report = bellhop.services.history.find(ACME, notification_id)
    assert report is not None
    return report.incident


@pytest.mark.sqlite_only
def test_only_incidents_have_buttons(installed: Bellhop) -> None:
    raised(installed)
    text = text_of(installed)
    for label in ("Acknowledge", "Assign to me", "Resolve", "Snooze…", "Mute"):
        assert label in text

    raised(installed, actions=[])
    assert "Acknowledge" not in text_of(installed)


@pytest.mark.sqlite_only
def test_who_acknowledged_is_shown_by_name_and_picture(installed: Bellhop) -> None:
    id_ = raised(installed)
    number = len(installed.slack.messages(GENERAL))

    press(installed, "acknowledge")

    text = text_of(installed)
    assert "Acknowledged by *Ann Archer*" in text
    assert '"alt_text": "Ann Archer"' in text
    assert '"text": "Acknowledge"' not in text
    assert "Disk full" in text
    assert len(installed.slack.messages(GENERAL)) == number
    found = incident(installed, id_)
    assert (found.state, found.state_by) == ("acknowledged", ANN)
    assert len(deliveries_shown(installed, id_)) == 1


def deliveries_shown(bellhop: Bellhop, notification_id: str) -> Any:
    report = bellhop.services.history.find(ACME, notification_id)
    assert report is not None
    return report.deliveries


@pytest.mark.sqlite_only
def test_a_person_without_a_profile_is_mentioned(installed: Bellhop) -> None:
    raised(installed)
    press(installed, "acknowledge", BEN)

    assert f"Acknowledged by <@{BEN}>" in text_of(installed)


def test_the_second_of_two_clicks_changes_nothing(installed: Bellhop) -> None:
    id_ = raised(installed)
    before = message(installed)
    for user_id in (ANN, ANN, BEN):
        installed.slack.click(user_id, before, "incident.acknowledge")
    delivered(installed)

    assert incident(installed, id_).state_by == ANN
    assert len(deliveries(installed, id_)) == 2
    assert len(installed.slack.calls_to("chat.update")) == 1


def test_every_message_about_it_shows_the_answer(installed: Bellhop) -> None:
    raised(installed, [GENERAL, RANDOM], key="disk/db1")
    press(installed, "resolve", channel_id=RANDOM)

    for channel_id in (GENERAL, RANDOM):
        text = text_of(installed, channel_id)
        assert "Resolved by *Ann Archer*" in text
        assert "Reopen" in text
        assert "Mute" not in text


def test_a_resolved_incident_is_green_until_it_is_reopened(installed: Bellhop) -> None:
    raised(installed, severity="critical")
    press(installed, "resolve")
    resolved = text_of(installed)
    press(installed, "reopen")

    assert COLOURS["success"] in resolved
    assert SIGNS["critical"] not in resolved
    assert COLOURS["critical"] in text_of(installed)


@pytest.mark.both_databases
def test_a_resolved_incident_can_be_reopened(installed: Bellhop) -> None:
    id_ = raised(installed)
    press(installed, "resolve")
    press(installed, "reopen", BEN)

    assert incident(installed, id_).state == "open"
    assert '"text": "Acknowledge"' in text_of(installed)


def test_the_last_assignment_wins(installed: Bellhop) -> None:
    id_ = raised(installed)
    press(installed, "assign")
    assert "Assigned to *Ann Archer*" in text_of(installed)
    press(installed, "assign", BEN)

    assert incident(installed, id_).assigned_to == BEN
    assert f"Assigned to <@{BEN}>" in text_of(installed)


def test_an_answer_lasts_while_the_sender_repeats_itself(installed: Bellhop) -> None:
    raised(installed, key="disk/db1")
    press(installed, "acknowledge")
    raised(installed, key="disk/db1", title="Disk fuller")

    text = text_of(installed)
    assert "Disk fuller" in text
    assert "Acknowledged by" in text


def test_the_sender_ends_it_with_what_asks_no_more(installed: Bellhop) -> None:
    raised(installed, RANDOM, key="disk/db1")
    first = raised(installed, key="disk/db1", mode="new")
    second = raised(installed, key="disk/db1", mode="new")
    accept(installed, GENERAL, "Fine", key="disk/db1", mode="thread", severity="success")
    delivered(installed)
    delivered(installed)
    delivered(installed)

    assert incident(installed, first).state == "resolved"
    assert incident(installed, second).state_by is None
    both = [*installed.slack.messages(GENERAL), *installed.slack.messages(RANDOM)]
    posted = [one for one in both if "Disk full" in one.text]
    assert len(posted) == 3
    for one in posted:
        blocks = json.dumps(one.attachments)
        assert "Resolved" in blocks
        assert "Acknowledge" not in blocks
        assert "Reopen" not in blocks


def test_a_notification_after_the_resolution_opens_a_new_incident(installed: Bellhop) -> None:
    raised(installed, key="disk/db1")
    press(installed, "resolve")
    id_ = raised(installed, key="disk/db1", mode="new")

    assert incident(installed, id_).state == "open"
    assert '"text": "Acknowledge"' in text_of(installed)


@pytest.mark.parametrize("answer", ["mute", "snooze"])
def test_nothing_new_is_posted_while_it_is_quiet(installed: Bellhop, answer: str) -> None:
    raised(installed, key="disk/db1")
    if answer == "mute":
        press(installed, "mute")
        assert "Muted by *Ann Archer* until it is resolved" in text_of(installed)
    else:
        chosen = installed.slack.select_option(ANN, message(installed), "incident.snooze", "60")
        assert chosen.error is None
        delivered(installed)
        assert "Snoozed by *Ann Archer* until" in text_of(installed)

    again = raised(installed, key="disk/db1", mode="new", title="Again")
    assert states(installed, again) == ["muted"]
    changed = raised(installed, key="disk/db1", mode="update", title="Changed")
    assert deliveries_shown(installed, changed)[0].state == "sent"
    assert "Changed" in text_of(installed)

    press(installed, "unmute" if answer == "mute" else "wake")
    once_more = raised(installed, key="disk/db1", mode="new")
    assert deliveries_shown(installed, once_more)[0].state == "sent"


@pytest.mark.both_databases
@pytest.mark.parametrize("answer", ["mute", "snooze"])
def test_an_update_is_no_new_message_while_it_is_quiet(installed: Bellhop, answer: str) -> None:
    raised(installed, key="disk/db1")
    press(installed, "mute") if answer == "mute" else snooze(installed)

    changed = raised(installed, [GENERAL, RANDOM], key="disk/db1", title="Changed")

    assert states(installed, changed) == ["sent", "muted"]
    assert not installed.slack.messages(RANDOM)
    press(installed, "unmute" if answer == "mute" else "wake")
    again = raised(installed, [GENERAL, RANDOM], key="disk/db1", title="Again")
    assert states(installed, again)[:2] == ["sent", "sent"]
    assert "Again" in text_of(installed, RANDOM)


def test_an_update_replaces_no_deleted_message_while_it_is_quiet(installed: Bellhop) -> None:
    raised(installed, key="disk/db1")
    press(installed, "mute")
    muted = message(installed)
    muted.deleted = True

    changed = raised(installed, key="disk/db1", title="Changed")

    assert states(installed, changed) == ["muted"]
    assert muted not in installed.slack.messages(GENERAL)


def test_an_update_to_an_address_changes_its_message_while_it_is_quiet(installed: Bellhop) -> None:
    address = f"@{installed.slack.users[ANN].email}"
    raised(installed, address, key="disk/db1")
    delivered(installed)
    conversation = installed.slack.app_dm(ACME, ANN).id
    press(installed, "mute", channel_id=conversation)

    raised(installed, address, key="disk/db1", title="Changed")
    delivered(installed)

    assert "Changed" in text_of(installed, conversation)


def snooze(bellhop: Bellhop, minutes: int = 30) -> None:
    chosen = bellhop.slack.select_option(ANN, message(bellhop), "incident.snooze", str(minutes))
    assert chosen.error is None
    delivered(bellhop)


def test_a_snooze_ends_by_itself(installed: Bellhop) -> None:
    raised(installed, key="disk/db1")
    snooze(installed)
    installed.clock.advance(31 * 60)
    delivered(installed)
    delivered(installed)

    first, told = installed.slack.messages(GENERAL)[-2:]
    assert told.text == f"<@{ANN}> The snooze is over, and this is not resolved yet."
    assert told.thread_ts == first.ts
    shown = json.dumps(first.attachments)
    assert "Snoozed" not in shown
    assert "Snooze\\u2026" in shown
    again = raised(installed, key="disk/db1", mode="new")
    assert deliveries_shown(installed, again)[0].state == "sent"


@pytest.mark.parametrize("answer", ["wake", "resolve", "mute"])
def test_the_end_of_a_snooze_is_posted_only_if_it_matters(installed: Bellhop, answer: str) -> None:
    raised(installed, key="disk/db1")
    number = len(installed.slack.messages(GENERAL))
    snooze(installed)
    press(installed, answer)
    installed.clock.advance(31 * 60)
    delivered(installed)

    assert len(installed.slack.messages(GENERAL)) == number


def test_the_sender_ends_a_snooze_with_all_the_rest(installed: Bellhop) -> None:
    raised(installed, key="disk/db1")
    number = len(installed.slack.messages(GENERAL))
    snooze(installed)
    accept(installed, GENERAL, "Fine", key="disk/db1")
    delivered(installed)
    installed.clock.advance(31 * 60)
    delivered(installed)

    assert len(installed.slack.messages(GENERAL)) == number


class TestEscalation:
    """Escalation when nobody answers in time."""

    def test_nobody_answers(self, installed: Bellhop) -> None:
        id_ = raised(installed, escalate={"after": 120, "to": RANDOM})
        assert not installed.slack.messages(RANDOM)
        installed.clock.advance(100)
        delivered(installed)
        assert not installed.slack.messages(RANDOM)
        installed.clock.advance(10)
        delivered(installed)

        assert "No answer yet: Disk full" in message(installed, RANDOM).text
        assert '"text": "Acknowledge"' in text_of(installed, RANDOM)
        assert states(installed, id_) == ["sent", "sent"]
        press(installed, "acknowledge", channel_id=RANDOM)
        for channel_id in (GENERAL, RANDOM):
            assert "Acknowledged by *Ann Archer*" in text_of(installed, channel_id)
        assert "No answer yet" not in message(installed, RANDOM).text

    @pytest.mark.parametrize("answer", ["acknowledge", "assign", "resolve", "mute"])
    def test_a_person_answers_in_time(self, installed: Bellhop, answer: str) -> None:
        id_ = raised(installed, escalate={"after": 600, "to": RANDOM})
        press(installed, answer)
        installed.clock.advance(600)
        delivered(installed)

        assert not installed.slack.messages(RANDOM)
        states_now = [one.state for one in deliveries_shown(installed, id_)]
        assert states_now == ["sent", "cancelled"]

    def test_a_snooze_puts_it_off(self, installed: Bellhop) -> None:
        raised(installed, escalate={"after": 600, "to": RANDOM})
        snooze(installed)
        installed.clock.advance(25 * 60)
        delivered(installed)
        assert not installed.slack.messages(RANDOM)
        installed.clock.advance(5 * 60)
        delivered(installed)

        assert "No answer yet" in message(installed, RANDOM).text

    @pytest.mark.both_databases
    @pytest.mark.parametrize(("snoozed", "left"), [(60, 510), (1200, 0)])
    def test_the_end_of_a_snooze_gives_it_back_its_time(
        self, installed: Bellhop, snoozed: int, left: int
    ) -> None:
        raised(installed, escalate={"after": 600, "to": RANDOM})
        snooze(installed, 1440)
        installed.clock.advance(snoozed)
        press(installed, "wake")
        if left:
            installed.clock.advance(left)
            delivered(installed)
            assert not installed.slack.messages(RANDOM)
        installed.clock.advance(10)
        delivered(installed)

        assert "No answer yet" in message(installed, RANDOM).text

    def test_a_snooze_leaves_a_later_one_its_time(self, installed: Bellhop) -> None:
        id_ = raised(installed, escalate={"after": 7200, "to": RANDOM})
        due = deliveries(installed, id_)[1].send_at
        snooze(installed, 60)
        press(installed, "wake")

        assert abs((deliveries(installed, id_)[1].send_at - due).total_seconds()) < 0.001

    @pytest.mark.both_databases
    @pytest.mark.parametrize("answer", ["acknowledge", "assign", "resolve", "mute", None])
    def test_one_in_doubt_is_not_repeated_after_an_answer(
        self, installed: Bellhop, answer: str | None
    ) -> None:
        id_ = raised(installed, key="disk", escalate={"after": 120, "to": RANDOM})
        hand = Hand(installed)
        for method in ("chat.postMessage", "conversations.history"):
            installed.slack.faults.add(Fault(method, "server_error"))
        installed.clock.advance(120)
        pass_minutes(installed, hand, 5)
        assert states(installed, id_) == ["sent", "sending"]

        if answer is None:
            accept(installed, GENERAL, "Fine", key="disk")
        else:
            answered = installed.slack.click(ANN, message(installed), f"incident.{answer}")
            assert answered.error is None
        installed.slack.faults.clear()
        pass_minutes(installed, hand, 20)

        assert states(installed, id_)[:2] == ["sent", "cancelled"]
        assert not installed.slack.messages(RANDOM)

    def test_one_in_doubt_that_is_in_slack_is_found_after_an_answer(
        self, installed: Bellhop
    ) -> None:
        id_ = raised(installed, escalate={"after": 120, "to": RANDOM})
        installed.clock.advance(120)
        hand = Hand(installed)
        hand.die_after_request()
        hand.deliver()
        press(installed, "acknowledge")
        pass_minutes(installed, Hand(installed), 2)

        assert states(installed, id_)[:2] == ["sent", "sent"]
        assert "Acknowledged by *Ann Archer*" in text_of(installed, RANDOM)

    @pytest.mark.both_databases
    @pytest.mark.parametrize("is_answered", [True, False])
    def test_a_failed_one_is_retried_unless_the_incident_is_answered(
        self, installed: Bellhop, is_answered: bool
    ) -> None:
        id_ = raised(installed, escalate={"after": 120, "to": RANDOM})
        gone = Fault("chat.postMessage", "api_error", error="is_archived")
        installed.slack.faults.add(gone)
        installed.clock.advance(120)
        delivered(installed)
        installed.slack.faults.clear()
        assert states(installed, id_) == ["sent", "dead"]

        if is_answered:
            press(installed, "acknowledge")
            with pytest.raises(AnsweredIncidentError):
                installed.services.history.retry(ACME, id_)
        else:
            installed.services.history.retry(ACME, id_)
        delivered(installed)

        assert len(installed.slack.messages(RANDOM)) == int(not is_answered)

    def test_the_sender_ends_it(self, installed: Bellhop) -> None:
        raised(installed, key="disk/db1", escalate={"after": 600, "to": RANDOM})
        accept(installed, GENERAL, "Fine", key="disk/db1")
        installed.clock.advance(600)
        delivered(installed)

        assert not installed.slack.messages(RANDOM)

    def test_without_an_address_it_is_posted_once_more(self, installed: Bellhop) -> None:
        raised(installed, escalate={"after": 600})
        installed.clock.advance(600)
        delivered(installed)

        first, again = installed.slack.messages(GENERAL)[-2:]
        assert "No answer yet" not in first.text
        assert "No answer yet: Disk full" in again.text

    def test_a_topic_is_who_has_subscribed_to_it(self, installed: Bellhop) -> None:
        installed.slack.send_command(ANN, RANDOM, "/notify", "subscribe oncall")
        raised(installed, escalate={"after": 600, "to": "topic:oncall"})
        installed.clock.advance(600)
        delivered(installed)

        assert "No answer yet" in message(installed, RANDOM).text

    def test_a_repeated_notification_is_escalated_once(self, installed: Bellhop) -> None:
        for _ in range(3):
            raised(installed, key="disk/db1", escalate={"after": 600, "to": RANDOM})
        installed.clock.advance(600)
        delivered(installed)

        assert len(installed.slack.messages(RANDOM)) == 1

    @pytest.mark.both_databases
    def test_a_batch_about_one_thing_is_escalated_once(self, installed: Bellhop) -> None:
        given = {
            "to": GENERAL,
            "text": "x",
            "key": "disk/db1",
            "actions": ALL,
            "escalate": {"after": 600, "to": RANDOM},
        }
        requests = [NotificationRequest.model_validate(given) for _ in range(3)]
        installed.services.intake.submit(Sender(ACME, "command"), requests)
        installed.clock.advance(600)
        delivered(installed)

        assert len(installed.slack.messages(RANDOM)) == 1

    def test_the_escalation_delay_begins_with_delivery(self, installed: Bellhop) -> None:
        raised(installed, delay=300, escalate={"after": 600, "to": RANDOM})
        installed.clock.advance(880)
        delivered(installed)
        assert not installed.slack.messages(RANDOM)
        installed.clock.advance(10)
        delivered(installed)
        assert installed.slack.messages(RANDOM)

    def test_a_new_incident_escalates_again(self, installed: Bellhop) -> None:
        raised(installed, key="disk/db1", escalate={"after": 600, "to": RANDOM})
        press(installed, "resolve")
        raised(installed, key="disk/db1", mode="new", escalate={"after": 600, "to": RANDOM})
        installed.clock.advance(600)
        delivered(installed)

        assert len(installed.slack.messages(RANDOM)) == 1


def test_an_answer_while_a_message_is_on_its_way_reaches_it(installed: Bellhop) -> None:
    raised(installed, key="disk/db1")
    accept(installed, RANDOM, "x", key="disk/db1", actions=ALL, title="Elsewhere")
    installed.clock.advance(5)
    hand = Hand(installed)
    clicks = iter([message(installed)])

    def click_once() -> None:
        for one in clicks:
            installed.slack.click(ANN, one, "incident.acknowledge")

    hand.ownership.before_request = click_once
    hand.deliver()
    delivered(installed)

    for channel_id in (GENERAL, RANDOM):
        assert "Acknowledged by" in text_of(installed, channel_id)


def test_a_message_that_is_gone_is_posted_again_while_people_are_to_see_it(
    installed: Bellhop,
) -> None:
    raised(installed, key="disk/db1")
    one = message(installed)
    installed.slack.click(ANN, one, "incident.acknowledge")
    one.deleted = True
    delivered(installed)

    assert message(installed).ts != one.ts
    assert "Acknowledged by" in text_of(installed)
    press(installed, "resolve")
    assert "Resolved by" in text_of(installed)


@pytest.mark.parametrize("answer", ["acknowledge", "resolve", "mute", "assign", "snooze"])
def test_another_workspace_answers_nothing(installed: Bellhop, answer: IncidentAnswer) -> None:
    id_ = raised(installed)

    assert not installed.services.incidents.answer("T0BETA0001", id_, ANN, answer)
    assert incident(installed, id_).state == "open"


@pytest.mark.sqlite_only
def test_names_mean_nothing_but_themselves(installed: Bellhop) -> None:
    installed.slack.update_user(ANN, real_name="<!channel> *Ann*")
    installed.slack.deliver_due()
    raised(installed)
    press(installed, "acknowledge")

    text = text_of(installed)
    assert f"Acknowledged by <@{ANN}>" in text
    assert "<!channel>" not in text.replace('"alt_text": "<!channel> *Ann*"', "")


def test_people_who_change_their_minds_leave_the_channels_their_turns(installed: Bellhop) -> None:
    """An incident muted and unmuted every second must not delay new notifications."""
    raised(installed, [GENERAL, RANDOM], key="disk/db1")
    for number in range(5):
        accept(installed, RANDOM, title=f"wanted {number}")
    for number in range(12):
        installed.clock.advance(1)
        answer: IncidentAnswer = IncidentAnswer.UNMUTE if number % 2 else IncidentAnswer.MUTE
        # A click that the client may send before the message is refreshed.
        id_ = installed.services.history.find_by_message(
            ACME, GENERAL, installed.slack.messages(GENERAL)[0].ts
        )
        assert id_ is not None
        installed.services.incidents.answer(ACME, id_, BEN, answer)
        Hand(installed).deliver()

    wanted = [one for one in installed.slack.messages(RANDOM) if "wanted" in one.text]
    assert len(wanted) == 5
    assert len(installed.slack.calls_to("chat.update")) >= 4


def test_people_who_answer_many_incidents_leave_their_channel_its_turns(
    installed: Bellhop,
) -> None:
    """Twenty incidents muted and unmuted in turn, four a second, must not delay others."""
    asking = {"actions": ["mute"], "severity": "info"}
    incidents = [raised(installed, GENERAL, key=f"disk/db{one}", **asking) for one in range(20)]
    for number in range(5):
        accept(installed, GENERAL, title=f"wanted {number}", severity="critical")
    for number in range(15):
        installed.clock.advance(1)
        for place in range(4):
            id_ = incidents[(number * 4 + place) % 20]
            answer: IncidentAnswer = (
                IncidentAnswer.UNMUTE if number % 10 >= 5 else IncidentAnswer.MUTE
            )
            installed.services.incidents.answer(ACME, id_, BEN, answer)
        Hand(installed).deliver()

    wanted = [one for one in installed.slack.messages(GENERAL) if "wanted" in one.text]
    assert len(wanted) == 5
    assert len(installed.slack.calls_to("chat.update")) >= 4


@pytest.mark.both_databases
def test_the_last_of_quick_answers_is_shown(installed: Bellhop) -> None:
    raised(installed)
    for answer in (IncidentAnswer.ACKNOWLEDGE, IncidentAnswer.ASSIGN, IncidentAnswer.RESOLVE):
        press_at_once(installed, answer)
    delivered(installed)

    assert "Resolved by *Ann Archer*" in text_of(installed)
    assert len(installed.slack.calls_to("chat.update")) == 2


def press_at_once(bellhop: Bellhop, answer: IncidentAnswer) -> None:
    """Answer the only incident as Ann; refresh its message if that is due."""
    id_ = bellhop.services.history.find_by_message(ACME, GENERAL, message(bellhop).ts)
    assert id_ is not None
    bellhop.services.incidents.answer(ACME, id_, ANN, answer)
    bellhop.clock.advance(0.5)
    Hand(bellhop).deliver()
