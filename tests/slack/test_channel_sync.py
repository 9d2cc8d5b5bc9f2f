"""Subscriptions follow Slack's events about channels and people."""

from __future__ import annotations

from typing import Any

import pytest

from bolt_app.notifications.history.search import HistoryQuery
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import (
    SubscriptionLimits,
    Subscriptions,
    SubscriptionSpec,
)
from bolt_app.workspaces.hello import welcome_text
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

DEPLOYS, LEADS = "C0ACME0003", "C0ACME0006"


@pytest.fixture(params=[DEPLOYS, LEADS], ids=["public", "private"])
def channel(request: pytest.FixtureRequest, bellhop: Bellhop) -> str:
    """A channel with subscriptions of two people."""
    bellhop.install(ANN)
    channel_id: str = request.param
    bellhop.slack.invite_bot(ANN, channel_id)
    # Otherwise the event could be processed together with those of the test.
    bellhop.slack.deliver_due()
    # Their membership when they subscribed it.
    members = bellhop.slack.channels[channel_id].members
    members += [one for one in (ANN, BEN) if one not in members]
    for topic, user_id in (("a", ANN), ("b", BEN), ("c", BEN), ("d", None)):
        wish = SubscriptionSpec(topic, created_by=user_id)
        bellhop.services.subscriptions.subscribe(ACME, channel_id, wish)
    return channel_id


def happen(bellhop: Bellhop) -> None:
    """Deliver Slack's events, and the notifications about them."""
    bellhop.slack.deliver_due()
    Hand(bellhop).deliver()


def told(bellhop: Bellhop, user_id: str) -> list[str]:
    """Return Bellhop's messages to a person, without the welcome."""
    channel = bellhop.slack.app_dm(ACME, user_id)
    texts = [one.text for one in bellhop.slack.messages(channel.id)]
    return [one for one in texts if one != welcome_text()]


def reached(bellhop: Bellhop, topic: str = "a") -> list[str]:
    report = bellhop.services.history.find(ACME, accept(bellhop, f"topic:{topic}", "x"))
    assert report is not None
    return [one.to for one in report.deliveries]


def test_an_archived_channel_pauses_until_it_is_unarchived(bellhop: Bellhop, channel: str) -> None:
    bellhop.slack.archive_channel(channel)
    happen(bellhop)

    assert reached(bellhop) == []
    [word] = told(bellhop, BEN)
    assert f"<#{channel}> was archived. Your subscription there (`b`, `c`) pauses until" in word
    assert len(told(bellhop, ANN)) == 1
    stored = bellhop.services.subscriptions.of_address(ACME, channel)
    assert {one.paused for one in stored} == {"archived"}

    bellhop.slack.unarchive_channel(channel)
    happen(bellhop)
    assert reached(bellhop) == [channel]


@pytest.mark.parametrize("channel", [LEADS], indirect=True)
def test_who_has_left_a_private_channel_is_told_no_topic(bellhop: Bellhop, channel: str) -> None:
    bellhop.slack.channels[channel].members.remove(BEN)

    bellhop.slack.archive_channel(channel)
    happen(bellhop)

    [to_ben], [to_ann] = told(bellhop, BEN), told(bellhop, ANN)
    assert "Your subscription there pauses until" in to_ben
    assert "Your subscription there (`a`) pauses until" in to_ann


def test_a_deactivated_person_is_not_notified(bellhop: Bellhop, channel: str) -> None:
    bellhop.slack.users[BEN].deleted = True

    bellhop.slack.archive_channel(channel)
    happen(bellhop)

    assert told(bellhop, BEN) == []


def test_nobody_is_told_after_the_next_installation(bellhop: Bellhop, channel: str) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()

    bellhop.slack.send_event(ACME, {"type": "channel_archive", "channel": channel})

    assert bellhop.services.history.search(ACME, HistoryQuery()).notifications == []


def test_a_channel_the_bot_was_removed_from_pauses_until_it_is_invited(
    bellhop: Bellhop, channel: str
) -> None:
    bellhop.slack.remove_bot(channel)
    happen(bellhop)

    assert reached(bellhop) == []
    assert "Bellhop was removed from" in told(bellhop, ANN)[0]

    bellhop.slack.invite_bot(ANN, channel)
    happen(bellhop)
    assert reached(bellhop) == [channel]


def test_a_new_subscription_ends_the_pause(bellhop: Bellhop, channel: str) -> None:
    bellhop.slack.remove_bot(channel)
    happen(bellhop)

    bellhop.services.subscriptions.subscribe(ACME, channel, SubscriptionSpec("a"))

    assert reached(bellhop) == [channel]
    assert reached(bellhop, "b") == []


def test_a_deleted_channel_has_none(bellhop: Bellhop, channel: str) -> None:
    bellhop.slack.delete_channel(channel)
    happen(bellhop)

    assert bellhop.services.subscriptions.of_team(ACME) == []
    assert "has ended" in told(bellhop, ANN)[0]


def test_a_channel_with_a_new_id_keeps_them(bellhop: Bellhop, channel: str) -> None:
    moved = bellhop.slack.change_channel_id(channel)
    bellhop.services.subscriptions.subscribe(ACME, moved.id, SubscriptionSpec("a", "x=y"))
    happen(bellhop)

    stored = bellhop.services.subscriptions.of_address(ACME, moved.id)
    assert [(one.spec.topic, one.spec.filter) for one in stored] == [
        ("a", "x=y"),
        ("b", ""),
        ("c", ""),
        ("d", ""),
    ]
    assert bellhop.services.subscriptions.of_address(ACME, channel) == []


@pytest.mark.both_databases
def test_held_and_waiting_deliveries_go_to_the_new_id(bellhop: Bellhop, channel: str) -> None:
    digest = SubscriptionSpec("e", digest=Schedule())
    bellhop.services.subscriptions.subscribe(ACME, channel, digest)
    held = [accept(bellhop, "topic:e", title=title) for title in ("One", "Two")]
    waiting = accept(bellhop, channel, title="Later", delay=60)
    moved = bellhop.slack.change_channel_id(channel)
    happen(bellhop)

    bellhop.clock.advance(3600)
    Hand(bellhop).deliver()
    bellhop.clock.advance(1)
    Hand(bellhop).deliver()

    assert states(bellhop, *held, waiting) == ["digested", "digested", "sent"]
    posted = [one.text.splitlines()[0] for one in bellhop.slack.messages(moved.id)]
    assert {"Later", "Digest: 2 notifications"} <= set(posted)


def test_a_renamed_channel_is_found_by_its_new_name(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    workspace = bellhop.services.client.find_workspace(ACME)
    assert bellhop.services.channels.find(workspace, "#deploys") == DEPLOYS
    before = len(bellhop.slack.calls_to("conversations.list"))

    bellhop.slack.rename_channel(DEPLOYS, "releases")
    happen(bellhop)

    assert bellhop.services.channels.find(workspace, "#releases") == DEPLOYS
    assert len(bellhop.slack.calls_to("conversations.list")) == before


@pytest.mark.both_databases
def test_a_person_who_is_deactivated_gets_nothing_until_they_are_back(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(BEN)
    bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("a", created_by=BEN))

    bellhop.slack.update_user(BEN, deleted=True)
    happen(bellhop)
    assert reached(bellhop) == []

    bellhop.slack.update_user(BEN, deleted=False)
    happen(bellhop)
    assert reached(bellhop) == [BEN]


@pytest.mark.parametrize("kind", ["channel_archive", "channel_left", "channel_deleted"])
def test_a_repeated_event_takes_effect_once(bellhop: Bellhop, kind: str) -> None:
    bellhop.install(ANN)
    bellhop.services.subscriptions.subscribe(ACME, DEPLOYS, SubscriptionSpec("a", created_by=ANN))
    event: dict[str, Any] = {"type": kind, "channel": DEPLOYS, "user": ANN, "actor_id": ANN}

    for _ in range(2):
        delivery = bellhop.slack.send_event(ACME, event)
        assert [one.status for one in delivery.attempts] == [200]
    Hand(bellhop).deliver()

    assert len(told(bellhop, ANN)) == 1


@pytest.mark.slow
def test_many_subscriptions_of_one_person_keep_nobody_from_being_told(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    database, many = bellhop.services.database, SubscriptionLimits(per_destination=601)
    subscriptions = Subscriptions(database, limits=many, clock=bellhop.clock)
    for number in range(600):
        wish = SubscriptionSpec(f"{'a' * 70}/{number:03}", created_by=ANN)
        subscriptions.subscribe(ACME, GENERAL, wish)
    subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys", created_by=BEN))

    bellhop.slack.archive_channel(GENERAL)
    happen(bellhop)

    [word] = told(bellhop, ANN)
    assert "and 580 more) pauses" in word
    assert "`deploys`" in told(bellhop, BEN)[0]


def test_many_subscriptions_can_be_muted_and_unmuted(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    for number in range(100):
        bellhop.services.subscriptions.subscribe(
            ACME, GENERAL, SubscriptionSpec(f"{'a' * 70}/{number}", created_by=ANN)
        )
    for words in ("mute 2h", "unmute", "unsubscribe deploys", "digest hourly"):
        answer = bellhop.slack.send_command(ANN, GENERAL, "/notify", words)
        assert (answer.status, answer.error) == (200, None)
        assert answer.message is not None
