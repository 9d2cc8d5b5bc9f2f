"""Held deliveries and their release."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from bolt_app.db.models import Delivery, Notification, Subscription
from bolt_app.notifications.digests import release as releasing
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionChange, SubscriptionSpec
from tests.conftest import FakeClock
from tests.notifications.hand import CALM_ROUNDS, Hand, accept, deliveries, is_calm, states, texts
from tests.people import ACME, ANN, GENERAL
from tests.property import examples
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

HOURLY = Schedule()
DAILY = Schedule(time(9), "Europe/Berlin")
HOUR = 3600


@pytest.fixture
def hand(bellhop: Bellhop, clock: FakeClock) -> Hand:
    """Return a worker for a workspace, at ten minutes past an hour."""
    clock.now = datetime(2026, 3, 28, 12, 10, tzinfo=UTC)
    bellhop.install(ANN)
    return Hand(bellhop)


def subscribe(
    bellhop: Bellhop, topic: str = "deploys", *, to: str = GENERAL, **wish: Any
) -> SubscriptionChange:
    return bellhop.services.subscriptions.subscribe(
        ACME, to, SubscriptionSpec(topic, **{"digest": HOURLY, **wish})
    )


def send(bellhop: Bellhop, title: str, topic: str = "deploys", **given: Any) -> str:
    """Send a moment later, and return the notification's id."""
    bellhop.clock.advance(0.001)
    return accept(bellhop, f"topic:{topic}", title=title, **given)


def in_an_hour(bellhop: Bellhop, hand: Hand) -> None:
    """Let an hour pass, then deliver everything that is due."""
    bellhop.clock.advance(HOUR)
    for _ in range(5):
        hand.deliver()
        bellhop.clock.advance(1)


def shown(bellhop: Bellhop, channel_id: str = GENERAL) -> list[str]:
    """Return the texts of a channel's messages."""
    return [str([one.text, one.blocks]) for one in bellhop.slack.messages(channel_id)]


class TestHolding:
    def test_it_is_held_until_its_release(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop, digest=DAILY)
        id_ = send(bellhop, "Build 1")

        hand.deliver()

        [delivery] = deliveries(bellhop, id_)
        # The clocks go forward that night.
        assert (delivery.state, delivery.send_at) == (
            "held",
            datetime(2026, 3, 29, 7, 0, tzinfo=UTC),
        )
        assert texts(bellhop, GENERAL) == []

    def test_critical_notifications_are_delivered_immediately(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        subscribe(bellhop)
        held, critical = send(bellhop, "Build 1"), send(bellhop, "Fire", severity="critical")

        hand.deliver()

        assert states(bellhop, held, critical) == ["held", "sent"]

    def test_direct_notifications_are_delivered_immediately(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        subscribe(bellhop)

        assert states(bellhop, accept(bellhop, GENERAL, "by name")) == ["waiting"]

    def test_a_scheduled_one_is_held_from_its_time_on(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        id_ = send(bellhop, "Build 1", delay=HOUR)

        assert deliveries(bellhop, id_)[0].send_at == datetime(2026, 3, 28, 14, tzinfo=UTC)

    def test_it_goes_out_within_a_moment_of_its_time(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        send(bellhop, "Build 1")
        send(bellhop, "Build 2")
        bellhop.clock.now = datetime(2026, 3, 28, 12, 59, 59, tzinfo=UTC)
        hand.deliver()
        assert texts(bellhop, GENERAL) == []

        bellhop.clock.advance(1)
        hand.deliver()

        assert len(texts(bellhop, GENERAL)) == 1


class TestReleasing:
    def test_a_single_one_goes_out_as_it_is(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        id_ = send(bellhop, "Build 1", severity="error")

        in_an_hour(bellhop, hand)

        assert states(bellhop, id_) == ["sent"]
        assert ["Build 1" in one for one in shown(bellhop)] == [True]
        assert "Digest" not in shown(bellhop)[0]

    def test_several_go_out_as_a_digest(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop, "deploys/*")
        subscribe(bellhop, "alerts")
        ids = [
            send(bellhop, "API is out", "deploys/api", severity="success"),
            send(bellhop, "Web failed", "deploys/web", severity="error", link="https://x.example/"),
            send(bellhop, "Disk", "alerts", severity="warning"),
        ]

        in_an_hour(bellhop, hand)

        reports = bellhop.services.history.reports(ids)
        digest_ids = {one.digest_id for id_ in ids for one in reports[id_].deliveries}
        [digest_id] = digest_ids
        digest = bellhop.services.history.find(ACME, str(digest_id))
        assert states(bellhop, *ids) == ["digested"] * 3
        assert digest is not None
        assert digest.source == "digest"
        assert [one.state for one in digest.deliveries] == ["sent"]
        [message] = shown(bellhop)
        assert "Digest: 3 notifications" in message
        web, alerts, api = (
            message.index(one) for one in ("*deploys/web*", "*alerts*", "*deploys/api*")
        )
        assert web < alerts < api
        assert "<https://x.example/|Web failed>" in message

    def test_one_that_is_not_due_stays_held(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        subscribe(bellhop, "alerts", digest=DAILY)
        hourly, daily = send(bellhop, "a"), send(bellhop, "b", "alerts")

        in_an_hour(bellhop, hand)

        assert states(bellhop, hourly, daily) == ["sent", "held"]

    def test_many_are_counted(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, f"Build {number}") for number in range(60)]

        in_an_hour(bellhop, hand)

        assert Counter(states(bellhop, *ids)) == {"digested": 60}
        [message] = shown(bellhop)
        assert "Digest: 60 notifications" in message
        assert "… and 50 more" in message

    def test_more_than_one_transaction_takes_become_several_digests(
        self, bellhop: Bellhop, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(releasing, "MOST_AT_ONCE", 4)
        subscribe(bellhop)
        ids = [send(bellhop, f"Build {number}") for number in range(10)]

        in_an_hour(bellhop, hand)

        assert Counter(states(bellhop, *ids)) == {"digested": 10}
        titles = [one.text.splitlines()[0] for one in bellhop.slack.messages(GENERAL)]
        assert [title.split()[1] for title in titles] == ["4", "4", "2"]

    def test_held_deliveries_move_from_a_names_lane(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop, to="#general")
        ids = [send(bellhop, "a"), send(bellhop, "b")]

        in_an_hour(bellhop, hand)

        assert states(bellhop, *ids) == ["digested"] * 2
        assert len(texts(bellhop, GENERAL)) == 1

    def test_a_lane_without_destination_ends_it(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop, to="#nowhere")
        id_ = send(bellhop, "a")

        in_an_hour(bellhop, hand)

        assert states(bellhop, id_) == ["dead"]

    def test_it_is_done_once_by_two_workers(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, "a"), send(bellhop, "b")]
        bellhop.clock.advance(HOUR)
        # The worker that has released it dies, and the other continues.
        hand.die_before_request()
        hand.deliver()
        other = Hand(bellhop)
        other.deliver()
        bellhop.clock.advance(20)
        other.deliver()

        assert states(bellhop, *ids) == ["digested"] * 2
        assert len(texts(bellhop, GENERAL)) == 1


class TestKeys:
    @pytest.mark.both_databases
    @pytest.mark.parametrize("mode", ["update", "thread"])
    def test_only_the_latest_of_a_key_is_released(
        self, bellhop: Bellhop, hand: Hand, mode: str
    ) -> None:
        subscribe(bellhop)
        about = {"key": "db-3", "mode": mode}
        ids = [
            send(bellhop, "Slow", severity="error", **about),
            send(bellhop, "Other"),
            send(bellhop, "Fine again", severity="success", **about),
        ]

        in_an_hour(bellhop, hand)

        slow, _other, fine = (deliveries(bellhop, id_)[0] for id_ in ids)
        assert states(bellhop, *ids) == ["digested"] * 3
        assert (slow.digest_id, fine.digest_id == ids[2]) == (ids[2], False)
        [message] = shown(bellhop)
        assert "Digest: 2 notifications" in message
        assert "Fine again" in message
        assert "Slow" not in message

    @pytest.mark.both_databases
    def test_a_single_latest_one_goes_out_as_it_is(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, title, key="db-3") for title in ("Slow", "Slower", "Fine again")]

        in_an_hour(bellhop, hand)

        assert states(bellhop, *ids) == ["digested", "digested", "sent"]
        assert ["Fine again" in one for one in shown(bellhop)] == [True]

    def test_mode_new_is_released_each_time(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop, mode="new")
        for title in ("Slow", "Fine again"):
            send(bellhop, title, key="db-3")

        in_an_hour(bellhop, hand)

        [message] = shown(bellhop)
        assert "Slow" in message
        assert "Fine again" in message

    def test_an_update_of_an_existing_message_is_not_held(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        subscribe(bellhop)
        send(bellhop, "Fire", severity="critical", key="db-3")
        hand.deliver()
        bellhop.clock.advance(1)
        held = send(bellhop, "Other")

        out = send(bellhop, "Fire is out", severity="success", key="db-3")
        hand.deliver()

        assert states(bellhop, held, out) == ["held", "sent"]
        assert ["Fire is out" in one for one in shown(bellhop)] == [True]

    def test_a_superseded_one_does_not_revert_the_message(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        subscribe(bellhop)
        slow = send(bellhop, "Slow", severity="error", key="db-3")
        fire = send(bellhop, "Fire", severity="critical", key="db-3")
        hand.deliver()
        bellhop.clock.advance(1)
        out = send(bellhop, "Fire is out", severity="success", key="db-3")

        in_an_hour(bellhop, hand)

        assert states(bellhop, slow, fire, out) == ["digested", "sent", "sent"]
        assert deliveries(bellhop, slow)[0].digest_id == out
        assert ["Fire is out" in one for one in shown(bellhop)] == [True]

    def test_a_resolution_of_a_held_one_is_held_too(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop, filter="severity>=warning")
        error = send(bellhop, "Slow", severity="error", key="db-3")
        fine = send(bellhop, "Fine again", severity="success", key="db-3")

        in_an_hour(bellhop, hand)

        assert states(bellhop, error, fine) == ["digested", "sent"]


class TestChangedSubscriptions:
    def test_an_ended_subscription_releases_nothing(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, "a"), send(bellhop, "b")]
        bellhop.services.subscriptions.unsubscribe(ACME, GENERAL, "deploys")
        # The next one has another id.
        subscribe(bellhop, "deploys/*")

        in_an_hour(bellhop, hand)

        assert states(bellhop, *ids) == ["cancelled"] * 2
        assert texts(bellhop, GENERAL) == []

    def test_a_restored_subscription_releases_it(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, "a"), send(bellhop, "b")]
        change = bellhop.services.subscriptions.unsubscribe(ACME, GENERAL, "deploys")
        assert change is not None
        subscribe(bellhop, "alerts")
        assert bellhop.services.subscriptions.undo(ACME, GENERAL, [change])

        in_an_hour(bellhop, hand)

        assert states(bellhop, *ids) == ["digested"] * 2
        [_, one] = bellhop.services.subscriptions.of_address(ACME, GENERAL)
        assert (one.spec.digest, one.last and one.last.state) == (HOURLY, "sent")

    @pytest.mark.both_databases
    def test_a_paused_subscription_releases_nothing(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        id_ = send(bellhop, "a")
        with bellhop.services.database.writing() as session:
            session.execute(update(Subscription).values(paused="archived"))

        in_an_hour(bellhop, hand)

        assert states(bellhop, id_) == ["cancelled"]

    def test_a_muted_subscription_releases_it_later(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, "a"), send(bellhop, "b")]
        until = bellhop.clock() + timedelta(hours=3)
        bellhop.services.subscriptions.mute(ACME, GENERAL, until)

        in_an_hour(bellhop, hand)
        assert [deliveries(bellhop, id_)[0].send_at for id_ in ids] == [until] * 2
        assert states(bellhop, *ids) == ["held"] * 2

        bellhop.clock.now = until
        hand.deliver()
        assert states(bellhop, *ids) == ["digested"] * 2

    @pytest.mark.both_databases
    @pytest.mark.parametrize("how", ["unmute", "undo", "subscribe", "shorten"])
    def test_the_end_of_the_mute_is_brought_forward(
        self, bellhop: Bellhop, hand: Hand, how: str
    ) -> None:
        subscriptions = bellhop.services.subscriptions
        subscribe(bellhop)
        ids = [send(bellhop, "a"), send(bellhop, "b")]
        muted = subscriptions.mute(ACME, GENERAL, bellhop.clock() + timedelta(days=30))
        in_an_hour(bellhop, hand)
        assert states(bellhop, *ids) == ["held"] * 2

        if how == "unmute":
            subscriptions.mute(ACME, GENERAL, None)
        elif how == "undo":
            assert subscriptions.undo(ACME, GENERAL, muted)
        elif how == "subscribe":
            subscribe(bellhop)
        else:
            subscriptions.mute(ACME, GENERAL, bellhop.clock() + timedelta(minutes=30))
            hand.deliver()
            assert states(bellhop, *ids) == ["held"] * 2
            bellhop.clock.advance(1800)
        hand.deliver()

        assert states(bellhop, *ids) == ["digested"] * 2

    def test_the_end_of_a_mute_releases_nothing_before_its_time(
        self, bellhop: Bellhop, hand: Hand
    ) -> None:
        subscribe(bellhop)
        subscribe(bellhop, "alerts")
        held = send(bellhop, "a")
        subscriptions = bellhop.services.subscriptions
        subscriptions.mute(ACME, GENERAL, bellhop.clock() + timedelta(days=1), "alerts")
        other = send(bellhop, "b")

        subscriptions.mute(ACME, GENERAL, None)
        hand.deliver()

        assert states(bellhop, held, other) == ["held"] * 2


class TestSenders:
    @pytest.mark.both_databases
    def test_a_held_delivery_can_be_cancelled(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, "a"), send(bellhop, "b")]
        assert bellhop.services.history.still_open(ids) == set(ids)

        cancelled = bellhop.services.history.cancel(ACME, ids[0])
        in_an_hour(bellhop, hand)

        assert [one.state for one in cancelled.cancelled] == ["cancelled"]
        assert states(bellhop, *ids) == ["cancelled", "sent"]

    @pytest.mark.both_databases
    def test_an_expired_one_is_not_released(self, bellhop: Bellhop, hand: Hand) -> None:
        subscribe(bellhop)
        ids = [send(bellhop, title) for title in ("a", "b", "c")]
        soon = {"expires_at": bellhop.clock() + timedelta(minutes=5)}
        with bellhop.services.database.writing() as session:
            first = update(Delivery).where(Delivery.notification_id == ids[0])
            session.execute(first.values(**soon))

        in_an_hour(bellhop, hand)

        assert states(bellhop, *ids) == ["expired", "digested", "digested"]

    @pytest.mark.both_databases
    def test_a_wrong_clock_holds_nothing(self, bellhop: Bellhop, hand: Hand) -> None:
        right = bellhop.clock()
        bellhop.clock.advance(365 * 24 * HOUR)
        subscribe(bellhop)
        id_ = send(bellhop, "a")
        bellhop.clock.now = right

        Hand(bellhop).deliver()

        assert states(bellhop, id_) == ["sent"]

    @pytest.mark.both_databases
    def test_a_failed_digest_loses_nothing(self, bellhop: Bellhop, hand: Hand) -> None:
        """Each held delivery refers to the digest, and the digest lists them all."""
        subscribe(bellhop)
        ids = [send(bellhop, str(number)) for number in range(7)]

        in_an_hour(bellhop, hand)

        told = select(Delivery.digest_id, Notification.content["title"].as_string())
        told = told.join(Notification, Notification.id == Delivery.digest_id).distinct()
        with bellhop.services.database.reading() as session:
            [(digest_id, title)] = session.execute(told).all()
        assert title == "Digest: 7 notifications"
        assert {deliveries(bellhop, id_)[0].digest_id for id_ in ids} == {digest_id}


Step = tuple[str, dict[str, Any]]
SENDS: st.SearchStrategy[Step] = st.tuples(
    st.just("send"),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from([None, None, "a", "b"]),
            "mode": st.sampled_from(["update", "thread", "new"]),
            "severity": st.sampled_from(["info", "error", "critical"]),
        }
    ),
)
PASSES: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(["hour", "deliver", "die", "second"]), st.just({})
)


@pytest.mark.both_databases
@hypothesis_settings(
    max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(SENDS | PASSES, max_size=25))
def test_everything_is_released_once_in_any_order_of_events(
    bellhop: Bellhop, hand: Hand, steps: list[Step]
) -> None:
    """Check that each notification is in Slack, or listed once by a message that is."""
    bellhop.slack.limits.enabled = False
    channel_id = bellhop.slack.add_channel(ACME, f"all-{uuid.uuid4().hex[:8]}").id
    subscribe(bellhop, topic := f"t-{uuid.uuid4().hex}", to=channel_id)
    worker, ids = Hand(bellhop), []
    for number, (step, said) in enumerate(steps):
        given = {name: value for name, value in said.items() if value is not None}
        if step == "send":
            ids.append(send(bellhop, f"N{number}.", topic, **given))
        elif step == "deliver":
            worker.deliver()
        elif step == "die":
            # It dies with what it has begun, after a release that was committed.
            worker.die_before_request()
            worker.deliver()
            worker = Hand(bellhop)
        bellhop.clock.advance({"hour": HOUR, "second": 1}.get(step, 0))
    rounds = 40
    while rounds:
        bellhop.clock.advance(HOUR if not worker.deliver() else 61)
        rounds = min(rounds - 1, CALM_ROUNDS) if is_calm(bellhop) else rounds - 1

    told = [deliveries(bellhop, id_)[0] for id_ in ids]
    assert {one.state for one in told} <= {"sent", "digested"}
    tellers = Counter(one.digest_id for one in told if one.digest_id is not None)
    digests = set(tellers) - set(ids)
    for digest_id in tellers:
        assert states(bellhop, digest_id)[0] in ("sent", "digested")
    titles = Counter(f"Digest: {tellers[digest_id]} notifications" for digest_id in digests)
    posted = [one.text.splitlines()[0] for one in bellhop.slack.messages(channel_id)]
    assert Counter(one for one in posted if one.startswith("Digest")) == titles
    for one in told:
        if one.state == "sent" and one.key is None:
            report = bellhop.services.history.reports([one.notification_id])[one.notification_id]
            title = str(report.content["title"])
            assert sum(title in line for line in posted) == 1
