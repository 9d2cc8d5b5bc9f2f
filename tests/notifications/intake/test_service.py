"""The intake: the rows of accepted notifications."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bolt_app.db import Database
from bolt_app.db.models import Channel, Delivery, Lane, Notification, WorkspaceQueue
from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.intake.results import NewNotification
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.service import Subscriptions, SubscriptionSpec
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BETA, GENERAL

COMMAND = Sender(ACME, "command")


class FakeWakeup(Wakeup):
    """Records the workspaces that it was notified of."""

    def __init__(self) -> None:
        self.notified: list[str | None] = []

    def notify(self, team_id: str | None = None) -> None:
        self.notified.append(team_id)

    def watch(self, on_wake: Any, stopped: Any) -> None:
        """Wake nobody."""

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def wakeup() -> FakeWakeup:
    return FakeWakeup()


@pytest.fixture
def intake(database: Database, wakeup: FakeWakeup, clock: FakeClock) -> Intake:
    return Intake(database, wakeup, clock=clock)


def accept(
    intake: Intake, *said: dict[str, Any], sender: Sender = COMMAND
) -> Sequence[NewNotification]:
    requests = [read_one({"to": "#general", "text": "x", **one}, intake._clock()) for one in said]
    return intake.submit(sender, requests).notifications


def lanes(database: Database) -> set[tuple[str, str]]:
    """Return the workspaces and addresses of all lanes."""
    with database.reading() as session:
        rows = session.execute(select(Lane.team_id, Lane.address))
        return {(team_id, address) for team_id, address in rows}


def numbers(database: Database) -> dict[str, int]:
    """Return the number of the latest change in each workspace."""
    with database.reading() as session:
        rows = session.execute(select(WorkspaceQueue.team_id, WorkspaceQueue.seq))
        return {team_id: seq for team_id, seq in rows}


def changes(database: Database) -> list[tuple[int, str]]:
    """Return the number of the change and the state of each delivery, in their order."""
    with database.reading() as session:
        rows = session.execute(select(Delivery.seq, Delivery.state).order_by(Delivery.id))
        return [(seq, state) for seq, state in rows]


def targets(database: Database) -> list[tuple[str, str]]:
    """Return the lane and the target of each delivery, in their order."""
    with database.reading() as session:
        statement = (
            select(Lane.address, Delivery.target)
            .join(Delivery, Delivery.lane_id == Lane.id)
            .order_by(Delivery.id)
        )
        return [(address, target) for address, target in session.execute(statement)]


def know_channel(database: Database, name: str, channel_id: str, team_id: str = ACME) -> None:
    with database.writing() as session:
        session.execute(
            insert(Channel).values(
                team_id=team_id, channel_id=channel_id, name=name, is_member=True, member_count=1
            )
        )


class TestLanes:
    def test_each_address_has_one(
        self, intake: Intake, database: Database, wakeup: FakeWakeup
    ) -> None:
        accept(intake, {"to": ["#general", GENERAL, ANN, "@ann@acme.example"]})
        accept(intake, {}, sender=Sender(BETA, "command"))

        addresses = [(ACME, "#general"), (ACME, GENERAL), (ACME, ANN), (ACME, "@ann@acme.example")]
        assert lanes(database) == {*addresses, (BETA, "#general")}
        assert numbers(database) == {ACME: 1, BETA: 1}
        assert wakeup.notified == [ACME, BETA]

    def test_each_transaction_is_a_change_with_a_number(
        self, intake: Intake, database: Database
    ) -> None:
        accept(intake, {}, {"delay": 30})
        accept(intake, {})

        assert changes(database) == [(1, "waiting"), (1, "scheduled"), (2, "waiting")]

    def test_a_more_urgent_delivery_of_a_key_rewrites_no_earlier_ones(
        self, intake: Intake, database: Database
    ) -> None:
        """There may be 100,000 of them; their owner lets a few at a time inherit its urgency."""
        accept(intake, {"key": "db"}, {"key": "db"})
        accept(intake, {"key": "db", "severity": "critical"})

        assert [number for number, _ in changes(database)] == [1, 1, 2]


class TestRouting:
    def test_a_known_channel_name_is_resolved(self, intake: Intake, database: Database) -> None:
        know_channel(database, "general", GENERAL)
        know_channel(database, "random", "C0BETA0002", team_id=BETA)

        accept(intake, {"to": ["#General", "#random"]})

        assert targets(database) == [(GENERAL, "#general"), ("#random", "#random")]

    def test_two_names_of_one_channel_are_one_delivery(
        self, intake: Intake, database: Database
    ) -> None:
        know_channel(database, "general", GENERAL)

        [accepted] = accept(intake, {"to": ["#general", GENERAL, "#General"]})

        assert [one.to for one in accepted.deliveries] == ["#general"]
        assert targets(database) == [(GENERAL, "#general")]

    def test_deliveries_queue_behind_those_in_the_names_lane(
        self, intake: Intake, database: Database
    ) -> None:
        accept(intake, {})
        know_channel(database, "general", GENERAL)

        accept(intake, {})
        with database.writing() as session:
            session.execute(update(Delivery).values(state="sent"))
        accept(intake, {})

        assert [address for address, _ in targets(database)] == ["#general", "#general", GENERAL]

    def test_a_topic_is_routed_by_the_subscriptions_at_acceptance(
        self, intake: Intake, database: Database, clock: FakeClock
    ) -> None:
        know_channel(database, "general", GENERAL)
        subscriptions = Subscriptions(database, clock=clock)
        assert subscriptions.subscribe(ACME, "#general", SubscriptionSpec("Deploys")).before is None
        assert (
            subscriptions.subscribe(ACME, "#General", SubscriptionSpec("deploys")).before
            is not None
        )
        subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))

        first, second = accept(
            intake, {"to": "topic:deploys"}, {"to": ["topic:other", "topic:deploys", ANN]}
        )
        assert subscriptions.unsubscribe(ACME, ANN, "deploys") is not None
        assert subscriptions.unsubscribe(ACME, ANN, "deploys") is None
        [third] = accept(intake, {"to": "topic:deploys"})

        reached = [[one.to for one in each.deliveries] for each in (first, second, third)]
        assert reached == [["#general", ANN], ["#general", ANN], ["#general"]]
        assert targets(database)[0] == (GENERAL, "#general")

    def test_an_unrouted_notification_does_not_affect_others(
        self, intake: Intake, database: Database, wakeup: FakeWakeup
    ) -> None:
        accept(intake, {"to": "topic:nobody"})
        assert wakeup.notified == []

        accept(intake, {})

        assert numbers(database) == {ACME: 1}

    def test_a_topic_cannot_subscribe_to_a_topic(self, database: Database) -> None:
        with pytest.raises(ValueError, match="cannot subscribe to a topic"):
            Subscriptions(database).subscribe(ACME, "topic:b", SubscriptionSpec("a"))


class TestRows:
    def test_they_have_the_options_of_the_request(
        self, intake: Intake, database: Database, clock: FakeClock
    ) -> None:
        expires_at = clock() + timedelta(hours=1)
        said = {
            "priority": 5,
            "key": "k",
            "mode": "thread",
            "on_unknown": "resend",
            "expires_at": expires_at.isoformat(),
        }
        [accepted, plain] = accept(intake, said, {"mode": "thread"})

        with database.reading() as session:
            first, second = session.scalars(select(Delivery).order_by(Delivery.id))
            notification = session.get(Notification, accepted.id)
        assert (first.id, first.rank, first.key, first.mode, first.on_unknown) == (
            accepted.deliveries[0].id,
            -5,
            "command|k",
            "thread",
            "resend",
        )
        assert (first.state, first.attempts, first.tried_at) == ("waiting", 0, None)
        assert (first.send_at, first.expires_at) == (clock(), expires_at)
        # Without a key there is nothing to reply to.
        assert (second.id, second.rank, second.mode) == (plain.deliveries[0].id, 0, "new")
        assert notification is not None
        assert (notification.source, notification.created_at) == ("command", clock())
        assert (notification.key, notification.content) == ("command|k", {"text": "x"})


def test_many_threads_submit_each_once_in_the_order_of_ids(
    intake: Intake, database: Database
) -> None:
    """Ids in a lane grow in the order of commits, however writes were grouped."""

    def send(number: int) -> tuple[int, NewNotification]:
        to = [f"#channel-{number % 3}", f"#channel-{(number + 1) % 3}"]
        sender = Sender(ACME if number % 2 else BETA, "command")
        [accepted] = accept(intake, {"to": to, "text": str(number)}, sender=sender)
        return number, accepted

    with ThreadPoolExecutor(12) as pool:
        answers = dict(pool.map(send, range(300)))

    with database.reading() as session:
        rows = session.execute(
            select(Delivery.id, Delivery.target, Notification.content, Notification.team_id).join(
                Notification, Notification.id == Delivery.notification_id
            )
        ).all()
        lane_rows = session.execute(select(Lane.team_id, Lane.address)).all()
    stored: dict[int, list[tuple[int, str]]] = {}
    for id_, target, content, team_id in sorted(rows):
        number = int(content["text"])
        assert team_id == (ACME if number % 2 else BETA)
        stored.setdefault(number, []).append((id_, target))
    assert stored == {
        number: [(one.id, one.to) for one in accepted.deliveries]
        for number, accepted in answers.items()
    }
    assert len(lane_rows) == len(set(lane_rows)) == 6


def test_a_failed_submission_does_not_affect_others(intake: Intake, database: Database) -> None:
    """A request that the database rejects is submitted together with valid ones."""
    bad = read_one({"to": "#general", "text": "x"}, intake._clock())
    bad.key = "\ud800"

    def send(number: int) -> bool:
        try:
            if number % 10 == 0:
                intake.submit(COMMAND, [bad])
            else:
                accept(intake, {})
        except Exception:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(send, range(60)))

    assert done == [number % 10 != 0 for number in range(60)]
    assert len(targets(database)) == 54
