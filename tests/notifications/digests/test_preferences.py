"""Preferences apply to all deliveries to a person, for every form of recipient."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bolt_app.db.models import Preference, User
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.delivery import transitions
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import QuietHours, Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, accept, deliveries, lane_of, states
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

NIGHT = QuietHours(time(22), time(7))
MORNING = datetime(2026, 3, 29, 5, tzinfo=UTC)  # 07:00 in Berlin; the clocks went forward
ANN_BY_EMAIL = "@ann@acme.example"


@pytest.fixture
def hand(bellhop: Bellhop, clock: FakeClock) -> Hand:
    """Return a worker, at eleven in the evening of Ann's time zone."""
    clock.now = datetime(2026, 3, 28, 22, tzinfo=UTC)
    bellhop.install(ANN)
    with bellhop.services.database.writing() as session:
        session.execute(update(User).values(tz="Europe/Berlin"))
    return Hand(bellhop)


def choose(bellhop: Bellhop, user_id: str = ANN, **given: Any) -> None:
    bellhop.services.preferences.choose(ACME, user_id, NotificationPreferences(**given))


def held_until(bellhop: Bellhop, notification_id: str) -> list[datetime | None]:
    """Return the release times of deliveries; None for those that are not held."""
    return [
        one.send_at if one.state == "held" else None for one in deliveries(bellhop, notification_id)
    ]


def messages(bellhop: Bellhop, user_id: str = ANN) -> list[str]:
    channel = bellhop.slack.app_dm(ACME, user_id)
    return [str([one.text, one.blocks]) for one in bellhop.slack.messages(channel.id)]


class TestQuietHours:
    def test_deliveries_are_held_until_they_end(self, bellhop: Bellhop, hand: Hand) -> None:
        choose(bellhop, quiet=NIGHT)

        assert held_until(bellhop, accept(bellhop, ANN, "a")) == [MORNING]
        assert held_until(bellhop, accept(bellhop, BEN, "a")) == [None]
        assert held_until(bellhop, accept(bellhop, GENERAL, "a")) == [None]
        bellhop.clock.now = MORNING
        assert held_until(bellhop, accept(bellhop, ANN, "a")) == [None]

    @pytest.mark.parametrize("to", [ANN, ANN_BY_EMAIL, "topic:deploys"])
    def test_for_every_form_of_recipient(self, bellhop: Bellhop, hand: Hand, to: str) -> None:
        bellhop.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))
        choose(bellhop, quiet=NIGHT)
        ids = [accept(bellhop, to, title=title) for title in ("One", "Two")]
        critical = accept(bellhop, to, title="Fire", severity="critical")

        hand.deliver()
        assert states(bellhop, *ids, critical) == ["held", "held", "sent"]
        assert [held_until(bellhop, id_) for id_ in ids] == [[MORNING]] * 2
        report = bellhop.services.history.find(ACME, ids[0])
        assert report is not None
        assert (report.deliveries[0].state, report.deliveries[0].send_at) == ("held", MORNING)

        bellhop.clock.now = MORNING
        hand.deliver()
        assert states(bellhop, *ids) == ["digested"] * 2
        assert "Digest: 2 notifications" in messages(bellhop)[-1]

    def test_the_time_zone_of_the_profile_counts(self, bellhop: Bellhop, hand: Hand) -> None:
        choose(bellhop, quiet=NIGHT, tz="Asia/Tokyo")
        choose(bellhop, BEN, quiet=NIGHT, tz="America/New_York")

        assert held_until(bellhop, accept(bellhop, ANN, "a")) == [MORNING]
        # It is six in the evening where Ben is.
        assert held_until(bellhop, accept(bellhop, BEN, "a")) == [None]

    def test_one_scheduled_into_them_is_held(self, bellhop: Bellhop, hand: Hand) -> None:
        choose(bellhop, quiet=NIGHT)

        early = accept(bellhop, ANN, "a", delay=3600)
        late = accept(bellhop, ANN, "a", delay=12 * 3600)

        assert held_until(bellhop, early) == [MORNING]
        assert held_until(bellhop, late) == [None]

    def test_a_digest_that_is_due_in_them_waits_for_their_end(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        wish = SubscriptionSpec("deploys", digest=Schedule())
        bellhop.services.subscriptions.subscribe(ACME, ANN, wish)
        choose(bellhop, quiet=NIGHT)

        assert held_until(bellhop, accept(bellhop, "topic:deploys", "a")) == [MORNING]

    def test_updates_are_not_held(self, bellhop: Bellhop, hand: Hand) -> None:
        red = accept(bellhop, ANN, "red", key="db-3")
        hand.deliver()
        bellhop.clock.advance(1)
        choose(bellhop, quiet=NIGHT)

        green, other = accept(bellhop, ANN, "green", key="db-3"), accept(bellhop, ANN, "x", key="y")
        by_email = accept(bellhop, ANN_BY_EMAIL, "greener", key="db-3")
        for _ in range(3):
            hand.deliver()
            bellhop.clock.advance(1)

        assert states(bellhop, red, green, other) == ["sent", "sent", "held"]
        assert states(bellhop, by_email) == ["sent"]

    @pytest.mark.both_databases
    def test_notifications_to_oneself_are_not_held(self, bellhop: Bellhop, hand: Hand) -> None:
        choose(bellhop, quiet=NIGHT, direct="off")
        request = NotificationRequest.model_validate({"to": ANN, "text": "A test"})

        answer = bellhop.services.intake.submit(Sender(ACME, f"slack:{ANN}"), [request])

        assert states(bellhop, answer.notifications[0].id) == ["waiting"]


class TestDirect:
    @pytest.mark.both_databases
    @pytest.mark.parametrize("to", [ANN, ANN_BY_EMAIL])
    def test_they_can_be_delivered_as_a_digest(self, bellhop: Bellhop, hand: Hand, to: str) -> None:
        choose(bellhop, direct="daily 09:00")
        ids = [accept(bellhop, to, title=title) for title in ("One", "Two")]
        hand.deliver()

        nine = MORNING + timedelta(hours=2)
        assert [held_until(bellhop, id_) for id_ in ids] == [[nine]] * 2
        bellhop.clock.now = nine
        hand.deliver()
        assert "*Sent to you*" in messages(bellhop)[-1]

    def test_it_names_no_topic_that_led_elsewhere(self, bellhop: Bellhop, hand: Hand) -> None:
        choose(bellhop, direct="daily 09:00")
        for title in ("One", "Two"):
            accept(bellhop, [ANN, "topic:merger"], title=title)
        bellhop.clock.now = MORNING + timedelta(hours=2)
        hand.deliver()

        assert "*Sent to you*" in messages(bellhop)[-1]
        assert "merger" not in messages(bellhop)[-1]

    @pytest.mark.both_databases
    @pytest.mark.parametrize("direct", ["daily 09:00", "off", None])
    def test_many_to_an_address_move_in_short_transactions(
        self, bellhop: Bellhop, hand: Hand, monkeypatch: pytest.MonkeyPatch, direct: str | None
    ) -> None:
        monkeypatch.setattr(transitions, "CHANGED_AT_ONCE", 2)
        if direct is not None:
            choose(bellhop, direct=direct)
        ids = [accept(bellhop, ANN_BY_EMAIL, f"{number}", delay=60) for number in range(5)]
        accept(bellhop, ANN_BY_EMAIL, "due")

        hand.deliver()

        moved = [one for id_ in ids for one in deliveries(bellhop, id_)]
        # A muted one has ended where it was.
        lane = lane_of(bellhop, ANN_BY_EMAIL if direct == "off" else ANN)
        state = {"off": "muted", None: "scheduled"}.get(direct, "held")
        assert {(one.lane_id, one.state) for one in moved} == {(lane.id, state)}
        assert [one.seq for one in moved] == sorted(one.seq for one in moved)
        assert set(Counter(one.seq for one in moved).values()) <= {1, 2}

    @pytest.mark.both_databases
    @pytest.mark.parametrize("to", [ANN, ANN_BY_EMAIL])
    def test_they_can_be_switched_off(self, bellhop: Bellhop, hand: Hand, to: str) -> None:
        choose(bellhop, direct="off")
        muted = accept(bellhop, to, "a")
        critical = accept(bellhop, to, "b", severity="critical")

        hand.deliver()

        assert states(bellhop, muted, critical) == ["muted", "sent"]
        assert deliveries(bellhop, muted)[0].finished_at == bellhop.clock()

    def test_subscriptions_are_not_affected(self, bellhop: Bellhop, hand: Hand) -> None:
        bellhop.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))
        choose(bellhop, direct="off")

        assert states(bellhop, accept(bellhop, "topic:deploys", "a")) == ["waiting"]
        beside = accept(bellhop, [ANN, "topic:deploys"], "a")
        assert sorted(states(bellhop, beside)) == ["muted", "waiting"]


class TestChanging:
    def test_it_is_undone_once(self, bellhop: Bellhop, hand: Hand) -> None:
        preferences = bellhop.services.preferences
        choose(bellhop, direct="hourly")
        bellhop.clock.advance(1)
        change = preferences.choose(ACME, ANN, NotificationPreferences(NIGHT, "off", "Asia/Tokyo"))
        found = preferences.find(ACME, ANN)
        assert (found.quiet, found.direct, found.tz) == (NIGHT, "off", "Europe/Berlin")

        bellhop.clock.advance(1)
        assert preferences.undo(ACME, ANN, change)
        assert not preferences.undo(ACME, ANN, change)

        found = preferences.find(ACME, ANN)
        assert (found.quiet, found.direct) == (None, "hourly")

    @pytest.mark.both_databases
    def test_no_row_is_kept_for_the_defaults(self, bellhop: Bellhop, hand: Hand) -> None:
        choose(bellhop, quiet=NIGHT)
        bellhop.clock.advance(1)
        change = bellhop.services.preferences.choose(ACME, ANN, NotificationPreferences())

        count = select(func.count()).select_from(Preference)
        with bellhop.services.database.reading() as session:
            assert session.scalar(count) == 0
        assert change.changed_at is None
        assert bellhop.services.preferences.undo(ACME, ANN, change)
        assert bellhop.services.preferences.find(ACME, ANN).quiet == NIGHT
