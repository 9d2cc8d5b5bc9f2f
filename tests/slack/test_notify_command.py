"""`/notify` over signed HTTP: commands, buttons and their effects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import time
from typing import Any

import pytest

from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.slack import ids
from slack_sandbox import Fault
from slack_sandbox.world import Message
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, running_bellhop
from tests.slack.test_home import choose_from_menu

pytestmark = pytest.mark.sqlite_only

ALERTS, OLD_NEWS, LEADS = "C0ACME0004", "C0ACME0005", "C0ACME0006"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def ask(bellhop: Bellhop, words: str, user_id: str = ANN, channel: str = GENERAL) -> Message:
    result = bellhop.slack.send_command(user_id, channel, "/notify", words)
    assert result.status == 200
    assert result.error is None
    assert result.message is not None
    return result.message


def text_of(message: Message) -> str:
    return json.dumps([message.text, message.blocks], ensure_ascii=False)


def test_a_filter_that_is_too_long_with_its_quotes_is_explained(installed: Bellhop) -> None:
    values = ",".join(f"-x{number % 10}" for number in range(120))

    assert "up to 500 characters" in text_of(ask(installed, f"subscribe deploys a={values}"))


def buttons(message: Message) -> list[dict[str, Any]]:
    blocks = message.blocks or []
    rows = [one for block in blocks for one in block.get("elements", ())]
    beside = [block["accessory"] for block in blocks if "accessory" in block]
    return [one for one in (*rows, *beside) if one.get("type") == "button"]


def reached(bellhop: Bellhop, topic: str = "topic:deploys", **given: Any) -> list[str]:
    """Send to a topic; return the channels and people that receive it."""
    notification_id = accept(bellhop, topic, "It is out", **given)
    report = bellhop.services.history.find(ACME, notification_id)
    assert report is not None
    return [one.to for one in report.deliveries]


def last_ephemeral(bellhop: Bellhop, user_id: str) -> str:
    return text_of(bellhop.slack.ephemerals(user_id)[-1])


class TestSubscribe:
    def test_a_channel_receives_matching_notifications(self, installed: Bellhop) -> None:
        answer = ask(installed, "subscribe Deploys severity>=warning service=api mode=thread")

        assert answer.ephemeral_to is None
        text = text_of(answer)
        assert f"<@{ANN}> subscribed this channel to `deploys`" in text
        assert "where `severity&gt;=warning service=api`, in threads" in text
        assert "No notifications that can be shown here in the last 7 days." in text
        api = [{"name": "service", "value": "api"}]
        assert reached(installed, severity="error", fields=api) == [GENERAL]
        assert reached(installed, severity="info", fields=api) == []

    def test_it_arrives(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")
        accept(installed, "topic:deploys", "It is out")
        Hand(installed).deliver()

        assert installed.slack.messages(GENERAL)[-1].text == "It is out"

    def test_it_previews_recent_notifications(self, installed: Bellhop, clock: FakeClock) -> None:
        ask(installed, "subscribe deploys")
        for number, severity in enumerate(["error", "info", "error"]):
            accept(installed, "topic:deploys", title=f"<Build> {number}", severity=severity)
            clock.advance(1)

        text = text_of(ask(installed, "subscribe deploys severity=error"))

        assert "2 of the last 3 notifications (7 days) would have been delivered here:" in text
        assert "&lt;Build&gt; 2" in text
        assert "&lt;Build&gt; 1" not in text

    def test_the_nearest_topic_is_offered(self, installed: Bellhop) -> None:
        accept(installed, "topic:deploys", "x")

        ask(installed, "subscribe deploys")
        assert installed.slack.ephemerals(ANN) == []
        ask(installed, "subscribe deploy")
        installed.wait_for_ephemeral(ANN, "Did you mean `/notify subscribe deploys`?")

    def test_in_a_direct_message_it_is_for_the_person(self, installed: Bellhop) -> None:
        channel = installed.slack.app_dm(ACME, BEN).id
        answer = ask(installed, "subscribe deploys", BEN, channel)

        assert answer.ephemeral_to == BEN
        assert reached(installed) == [BEN]
        assert "Notifications for you" in text_of(ask(installed, "list", BEN, channel))

    def test_a_private_channel_has_to_invite_first(self, installed: Bellhop) -> None:
        assert "/invite @Bellhop" in text_of(ask(installed, "subscribe deploys", ANN, LEADS))
        assert reached(installed) == []

        installed.slack.invite_bot(ANN, LEADS)
        assert "subscribed this channel" in text_of(ask(installed, "subscribe deploys", ANN, LEADS))
        assert reached(installed) == [LEADS]

    def test_an_archived_channel_is_rejected(self, installed: Bellhop) -> None:
        text = text_of(ask(installed, "subscribe deploys", ANN, OLD_NEWS))

        assert "That channel is archived" in text
        assert reached(installed) == []

    def test_it_works_if_slack_does_not_answer(self, installed: Bellhop) -> None:
        installed.slack.faults.add(Fault("conversations.info", "server_error", times=1))

        assert "subscribed this channel" in text_of(ask(installed, "subscribe deploys"))


class TestUndoing:
    def test_a_subscription_is_undone_by_anybody_once(self, installed: Bellhop) -> None:
        answer = ask(installed, "subscribe deploys")
        [button] = buttons(answer)
        assert (button["action_id"], button["text"]["text"]) == (ids.UNDO_SUBSCRIPTIONS, "Undo")

        assert installed.slack.click(BEN, answer, ids.UNDO_SUBSCRIPTIONS).status == 200

        assert reached(installed) == []
        shown = installed.slack.messages(GENERAL)[-1]
        assert f"<@{BEN}> undid the change to `deploys`." in text_of(shown)
        assert buttons(shown) == []

    def test_a_second_click_changes_nothing(self, installed: Bellhop, clock: FakeClock) -> None:
        answer = ask(installed, "subscribe deploys")
        seen_by_ben = deepcopy(answer)
        installed.slack.click(ANN, answer, ids.UNDO_SUBSCRIPTIONS)
        clock.advance(1)
        ask(installed, "subscribe deploys a=b")

        installed.slack.click(BEN, seen_by_ben, ids.UNDO_SUBSCRIPTIONS)

        assert "already undone, or the subscription has changed since" in last_ephemeral(
            installed, BEN
        )
        assert reached(installed, fields=[{"name": "a", "value": "b"}]) == [GENERAL]

    def test_undo_restores_an_ended_subscription(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys severity>=error", BEN)
        answer = ask(installed, "unsubscribe deploys")
        assert f"<@{ANN}> unsubscribed this channel from `deploys`." in text_of(answer)
        assert reached(installed, severity="error") == []

        installed.slack.click(ANN, answer, ids.UNDO_SUBSCRIPTIONS)

        assert reached(installed, severity="error") == [GENERAL]
        assert reached(installed) == []
        # Its creator may have left, so the person who restores it is named.
        assert f"by <@{ANN}>" in text_of(ask(installed, "list"))

    def test_muting_is_undone(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")
        answer = ask(installed, "mute 2h")
        assert f"<@{ANN}> muted `deploys` for this channel until <!date^" in text_of(answer)
        assert reached(installed) == []

        installed.slack.click(ANN, answer, ids.UNDO_SUBSCRIPTIONS)
        assert reached(installed) == [GENERAL]

        ask(installed, "mute deploys 1h")
        assert reached(installed) == []
        assert "muted until" in text_of(ask(installed, "list"))
        assert f"<@{ANN}> unmuted `deploys`" in text_of(ask(installed, "unmute"))
        assert reached(installed) == [GENERAL]
        assert "muted until" not in text_of(ask(installed, "list"))


class TestList:
    def test_neither_patterns_nor_misspelt_subscriptions_are_offered(
        self, installed: Bellhop
    ) -> None:
        accept(installed, "topic:deploys", "x")
        for topic in ("*", "deploys/*", "deplyos"):
            ask(installed, f"subscribe {topic}", BEN, channel="C0ACME0002")

        text = text_of(ask(installed, "list"))

        assert "Topics in this workspace: `deploys`." in text
        ask(installed, "subscribe deplyos")
        installed.wait_for_ephemeral(ANN, "Did you mean `/notify subscribe deploys`?")

    def test_one_is_counted_as_one(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")
        assert ask(installed, "list").text.endswith(": 1 subscription")
        ask(installed, "subscribe other")
        assert ask(installed, "list").text.endswith(": 2 subscriptions")

    def test_it_shows_its_creator_and_latest_delivery(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys severity>=error mode=update", BEN)
        assert "no notifications yet" in text_of(ask(installed, "list"))
        accept(installed, "topic:deploys", "x", severity="error")
        Hand(installed).deliver()

        answer = ask(installed, "list")

        assert answer.ephemeral_to == ANN
        text = text_of(answer)
        assert "`deploys` where `severity&gt;=error`, updated in place" in text
        assert f"by <@{BEN}>" in text
        assert "last sent <!date^" in text

    def test_its_menu_ends_one(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")
        ask(installed, "subscribe other")
        answer = ask(installed, "list")

        twice = deepcopy(answer)
        for one in (answer, twice):
            choose_from_menu(installed, one, "unsubscribe", "other")

        assert reached(installed, "topic:other") == []
        assert reached(installed) == [GENERAL]

    @pytest.mark.parametrize(
        ("choice", "words"),
        [
            ("unsubscribe", "unsubscribed this channel from `deploys`"),
            ("mute-hour", "muted `deploys` for this channel"),
            ("digest-hourly", "set a digest of `deploys` for this channel"),
        ],
    )
    def test_the_channel_is_told_of_a_choice_and_may_undo_it(
        self, installed: Bellhop, choice: str, words: str
    ) -> None:
        ask(installed, "subscribe deploys severity>=error", BEN)
        before = [one.spec for one in installed.services.subscriptions.of_address(ACME, GENERAL)]
        installed.clock.advance(1)
        answer = ask(installed, "list")

        choose_from_menu(installed, answer, choice, "deploys")

        told = [one for one in installed.slack.messages(GENERAL) if words in one.text][-1]
        assert told.ephemeral_to is None
        assert f"<@{ANN}>" in told.text
        assert answer.deleted
        installed.clock.advance(1)
        installed.slack.click(BEN, told, ids.UNDO_SUBSCRIPTIONS)
        [after] = installed.services.subscriptions.of_address(ACME, GENERAL)
        assert [replace(after.spec, created_at=before[0].created_at)] == before
        changes = [
            (one.user_id, one.credential)
            for one in installed.services.audit.find(action="channel_subscriptions_changed")
        ]
        assert sorted(changes) == sorted([(who, f"channel:{GENERAL}") for who in (ANN, BEN, BEN)])

    def test_a_personal_choice_is_private(self, installed: Bellhop) -> None:
        channel = installed.slack.app_dm(ACME, ANN).id
        ask(installed, "subscribe deploys", ANN, channel)
        answer = ask(installed, "list", ANN, channel)

        choose_from_menu(installed, answer, "unsubscribe", "deploys")

        assert answer.text.startswith(f"<@{ANN}> unsubscribed themselves")
        assert "channel_subscriptions_changed" not in str(installed.services.audit.find())

    def test_a_second_choice_in_one_list_is_posted_too(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")
        answer = ask(installed, "list")
        for choice in ("mute-hour", "unsubscribe"):
            choose_from_menu(installed, deepcopy(answer), choice, "deploys")

        told = [one.text for one in installed.slack.messages(GENERAL)]
        assert "unsubscribed this channel" in told[-1]
        assert installed.slack.ephemerals(ANN)[-1].ts == answer.ts

    def test_an_empty_list_explains_how_to_start(self, installed: Bellhop) -> None:
        accept(installed, "topic:releases", "x")

        text = text_of(ask(installed, "list"))

        assert "No subscriptions for this channel yet." in text
        assert "`/notify subscribe releases`" in text


class TestDigest:
    def test_it_is_scheduled_in_the_persons_time_zone(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys")

        answer = ask(installed, "digest deploys daily 9:00")

        profile = installed.services.profiles.find(ACME, ANN)
        assert profile is not None
        tz = profile.tz
        text = text_of(answer)
        assert answer.ephemeral_to is None
        assert f"<@{ANN}> set a digest of `deploys` for this channel" in text
        assert f"every day at 09:00 ({tz})" in text
        assert f"digest every day at 09:00 ({tz})" in text_of(ask(installed, "list"))
        [one] = installed.services.subscriptions.of_address(ACME, GENERAL)
        assert one.spec.digest == Schedule(time(9), str(tz))
        assert reached(installed) == [GENERAL]
        Hand(installed).deliver()
        assert "It is out" not in [one.text for one in installed.slack.messages(GENERAL)]
        assert "last held until <!date^" in text_of(ask(installed, "list"))

    def test_slack_is_asked_where_an_unlinked_person_lives(self, installed: Bellhop) -> None:
        ask(installed, "subscribe deploys digest daily 9:00", BEN)

        [one] = installed.services.subscriptions.of_address(ACME, GENERAL)
        assert one.spec.digest == Schedule(time(9), str(installed.slack.users[BEN].tz))

    def test_the_only_topic_need_not_be_named(self, installed: Bellhop) -> None:
        assert "No subscriptions here yet" in text_of(ask(installed, "digest hourly"))
        ask(installed, "subscribe deploys")
        assert "set a digest of `deploys`" in text_of(ask(installed, "digest hourly"))
        assert "already has this digest: every hour" in text_of(ask(installed, "digest hourly"))
        ask(installed, "subscribe alerts")

        asked = ask(installed, "digest off")
        assert asked.ephemeral_to == ANN
        assert "• `/notify digest deploys off`" in text_of(asked)
        assert "ended the digest of `deploys`" in text_of(ask(installed, "digest deploys off"))
        assert "has no digest here" in text_of(ask(installed, "digest deploys off"))
        assert "No subscription to `other` here" in text_of(ask(installed, "digest other off"))

    def test_it_is_undone(self, installed: Bellhop, clock: FakeClock) -> None:
        ask(installed, "subscribe deploys digest hourly")
        clock.advance(1)
        answer = ask(installed, "digest deploys off")

        installed.slack.click(BEN, answer, ids.UNDO_SUBSCRIPTIONS)

        [one] = installed.services.subscriptions.of_address(ACME, GENERAL)
        assert str(one.spec.digest) == "hourly"

    def test_undo_restores_an_ended_subscription_with_its_digest(
        self, installed: Bellhop, clock: FakeClock
    ) -> None:
        ask(installed, "subscribe deploys digest hourly")
        for title in ("Build 1", "Build 2"):
            accept(installed, "topic:deploys", title=title)
        answer = ask(installed, "unsubscribe deploys")
        assert "held for its next digest are not delivered" in text_of(answer)
        installed.slack.click(ANN, answer, ids.UNDO_SUBSCRIPTIONS)

        clock.advance(3600)
        Hand(installed).deliver()

        assert "Digest: 2 notifications" in text_of(installed.slack.messages(GENERAL)[-1])


class TestAnswers:
    @pytest.mark.parametrize(
        ("words", "answer"),
        [
            ("", "*Commands"),
            ("help", "*Commands"),
            ("subscibe deploys", "Did you mean `/notify subscribe deploys`?"),
            ("subscribe deploys <x>", "“&lt;x&gt;” is not a condition"),
            ("unsubscribe deploys", "No subscription to `deploys` here. No subscriptions yet."),
            ("mute 2h", "No subscriptions here to mute."),
            ("unmute", "Nothing is muted here."),
            ("mute deploys 2h", "No subscription to `deploys` here."),
        ],
    )
    def test_quiet_hours_are_set_for_the_person(
        self, installed: Bellhop, words: str, answer: str
    ) -> None:
        message = ask(installed, words)

        assert message.ephemeral_to == ANN
        assert answer in text_of(message)

    def test_a_test_arrives(self, installed: Bellhop) -> None:
        message = ask(installed, "test")
        Hand(installed).deliver()

        assert "on its way to this channel" in text_of(message)
        text = text_of(installed.slack.messages(GENERAL)[-1])
        assert "A test notification" in text
        # The App Home also has a button for it.
        assert "/notify" not in text


class TestWhoMay:
    @pytest.fixture(params=["members", "admins"])
    def strict(
        self,
        request: pytest.FixtureRequest,
        database_url: str,
        encryption_key: str,
        clock: FakeClock,
    ) -> Iterator[Bellhop]:
        changes = {"subscriptions_by": request.param}
        with running_bellhop(database_url, encryption_key, clock, **changes) as bellhop:
            bellhop.install(ANN)
            yield bellhop

    def test_it_is_as_the_settings_say(self, strict: Bellhop) -> None:
        answer = ask(strict, "subscribe deploys", ANN)
        assert reached(strict) == [GENERAL]
        ben_may = strict.settings.subscriptions_by == "members"

        strict.slack.click(BEN, answer, ids.UNDO_SUBSCRIPTIONS)
        assert reached(strict) == ([] if ben_may else [GENERAL])
        if not ben_may:
            assert "Only admins can change" in last_ephemeral(strict, BEN)
        ask(strict, "subscribe other", BEN)
        assert reached(strict, "topic:other") == ([GENERAL] if ben_may else [])

    def test_a_list_has_menus_for_people_who_may_change_it(self, strict: Bellhop) -> None:
        deploys, guest = "C0ACME0003", "U0GUS00001"
        ask(strict, "subscribe deploys", ANN, deploys)
        ben_may = strict.settings.subscriptions_by == "members"

        lists = {one: ask(strict, "list", one, deploys) for one in (ANN, BEN, guest)}

        assert all("deploys" in json.dumps(one.blocks) for one in lists.values())
        menus = {one for one, found in lists.items() if '"overflow"' in json.dumps(found.blocks)}
        assert menus == ({ANN, BEN} if ben_may else {ANN})

    def test_a_guest_changes_only_their_own_subscriptions(self, strict: Bellhop) -> None:
        people = strict.slack.users.values()
        guest = next(one.id for one in people if one.team_id == ACME and one.is_restricted)
        deploys = "C0ACME0003"

        refused = ask(strict, "subscribe deploys", guest, deploys)
        direct = strict.slack.app_dm(ACME, guest).id
        own = ask(strict, "subscribe deploys", guest, direct)

        assert "ask one of them" in text_of(refused)
        assert "Guests cannot subscribe to topics" in text_of(own)
        assert reached(strict) == []
        assert "quiet hours from 22:00" in text_of(ask(strict, "quiet 22:00-07:00", guest, direct))


def test_tests_are_limited_for_each_person(installed: Bellhop) -> None:
    answers = [ask(installed, "test").text for _ in range(12)]

    assert ["Try again in a minute" in text for text in answers] == [False] * 10 + [True] * 2
    assert "Try again" not in ask(installed, "test", BEN).text
    installed.clock.advance(60)
    assert "Try again" not in ask(installed, "test").text
