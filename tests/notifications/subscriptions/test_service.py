"""Subscriptions: their deliveries, and undoing their changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from time import process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from bolt_app.db import Database
from bolt_app.db.models import Delivery, Notification, Subscription
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.content.topics import patterns_for
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.subscriptions.channel_sync import PauseReason, pause
from bolt_app.notifications.subscriptions.previews import Previews
from bolt_app.notifications.subscriptions.routing import RoutingRequest, route
from bolt_app.notifications.subscriptions.service import (
    SubscriptionChange,
    Subscriptions,
    SubscriptionSpec,
)
from tests.conftest import FakeClock
from tests.notifications.intake.test_service import FakeWakeup, know_channel
from tests.people import ACME, ANN, BEN, BETA, GENERAL, PLAIN
from tests.property import examples

RANDOM = "C0ACME0002"


class World:
    """A workspace whose topics are subscribed to and sent to."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.subscriptions = Subscriptions(database, clock=clock)
        self.previews = Previews(database, clock=clock)
        self._intake = Intake(database, FakeWakeup(), clock=clock)

    def subscribe(
        self, topic: str, filter_: str = "", *, to: str = GENERAL, **more: Any
    ) -> SubscriptionChange:
        return self.subscriptions.subscribe(ACME, to, SubscriptionSpec(topic, filter_, **more))

    def send(
        self, to: str | list[str] = "topic:deploys", team_id: str = ACME, **said: Any
    ) -> list[str]:
        """Send a moment later, and return the recipients."""
        self.clock.advance(0.001)
        request = read_one({"to": to, "text": "x", **said}, self.clock())
        answer = self._intake.submit(Sender(team_id, "command"), [request])
        return [one.to for one in answer.notifications[0].deliveries]

    def modes(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(select(Delivery.mode).order_by(Delivery.id)))

    def specs(self, to: str = GENERAL) -> list[SubscriptionSpec]:
        return [one.spec for one in self.subscriptions.of_address(ACME, to)]


@pytest.fixture
def world(database: Database, clock: FakeClock) -> World:
    return World(database, clock)


class TestRouting:
    def test_a_filter_selects_notifications(self, world: World) -> None:
        world.subscribe("deploys", "severity>=warning service=api")
        api = [{"name": "Service", "value": "api"}]

        assert world.send(severity="error", fields=api) == [GENERAL]
        assert world.send(severity="info", fields=api) == []
        assert world.send(severity="error") == []

    def test_a_star_matches_all_below(self, world: World) -> None:
        world.subscribe("deploys/*")
        world.subscribe("*", to=ANN)

        assert world.send("topic:deploys/api/eu") == [GENERAL, ANN]
        assert world.send("topic:deploys") == [ANN]
        assert world.send("topic:deploysx/api") == [ANN]
        assert world.send("topic:deploys/api", team_id=BETA) == []

    def test_two_matching_subscriptions_make_one_delivery(self, world: World) -> None:
        know_channel(world.database, "general", GENERAL)
        world.subscribe("deploys")
        world.subscribe("*")
        world.subscribe("deploys", to="#general")

        assert len(world.send()) == 1

    def test_a_filtered_subscription_does_not_hide_another(self, world: World) -> None:
        world.subscribe("deploys", "severity>=error")
        world.subscribe("deploys/*", "severity>=info")
        world.subscribe("*", "severity=success")

        assert world.send("topic:deploys/api") == [GENERAL]
        assert world.send("topic:deploys", severity="success") == [GENERAL]
        assert world.send("topic:deploys", severity="info") == []

    def test_a_resolution_passes_a_severity_filter(self, world: World) -> None:
        world.subscribe("deploys", "severity>=error -label:bot")
        world.subscribe("deploys", "severity>=error", to=ANN)

        assert world.send(severity="success", key="db-3") == []
        assert world.send(severity="error", key="db-3") == [GENERAL, ANN]
        assert world.send(severity="success", key="db-3") == [GENERAL, ANN]
        assert world.send(severity="success", key="db-4") == []
        bot = [{"name": "label", "value": "bot"}]
        assert world.send(severity="success", key="db-3", fields=bot) == [ANN]

    def test_its_mode_applies_to_notifications_with_a_key(self, world: World) -> None:
        world.subscribe("deploys", mode="thread")
        world.subscribe("deploys", to=ANN)

        world.send(key="db-3", mode="update")
        world.send()

        assert world.modes() == ["thread", "update", "new", "new"]

    def test_nothing_is_delivered_while_it_is_muted(self, world: World) -> None:
        world.subscribe("deploys")
        world.subscribe("deploys", to=ANN)
        until = world.clock() + timedelta(hours=2)

        assert [one.topic for one in world.subscriptions.mute(ACME, GENERAL, until)] == ["deploys"]
        assert world.send() == [ANN]
        assert world.send(GENERAL) == [GENERAL]
        world.clock.advance(2 * 3600)
        assert world.send() == [GENERAL, ANN]

    def test_it_has_its_latest_delivery(self, world: World) -> None:
        world.subscribe("deploys")
        world.send()
        sent_at = world.clock()
        world.send(GENERAL)
        with world.database.writing() as session:
            session.execute(
                update(Delivery).where(Delivery.id == 1).values(state="dead", error="is_archived")
            )
        [one] = world.subscriptions.of_address(ACME, GENERAL)

        assert one.last is not None
        assert (one.last.state, one.last.at) == ("dead", sent_at)


class TestChanges:
    def test_subscribing_again_changes_it(self, world: World) -> None:
        world.subscribe("deploys", "severity>=error", created_by=ANN)
        change = world.subscribe("Deploys", created_by=BEN)

        assert change.before is not None
        assert (change.before.filter, change.before.created_by) == ("severity>=error", ANN)
        [wish] = world.specs()
        assert (wish.topic, wish.filter, wish.created_by) == ("deploys", "", BEN)

    @pytest.mark.parametrize("what", ["subscribe", "change", "unsubscribe", "mute", "unmute"])
    def test_each_is_undone_once(self, world: World, what: str) -> None:
        muted = world.clock() + timedelta(hours=1)
        if what != "subscribe":
            world.subscribe("deploys", "a=b", mode="thread", created_by=ANN)
            world.subscriptions.mute(ACME, GENERAL, muted)
        world.subscribe("other", created_by=BEN)
        before = world.specs()
        world.clock.advance(1)
        change: dict[str, Callable[[], Sequence[SubscriptionChange | None]]] = {
            "subscribe": lambda: [world.subscribe("deploys")],
            "change": lambda: [world.subscribe("deploys", "c=d", created_by=BEN)],
            "unsubscribe": lambda: [world.subscriptions.unsubscribe(ACME, GENERAL, "deploys")],
            "mute": lambda: world.subscriptions.mute(ACME, GENERAL, muted + timedelta(hours=1)),
            "unmute": lambda: world.subscriptions.mute(ACME, GENERAL, None),
        }
        changes = [one for one in change[what]() if one is not None]
        assert world.specs() != before

        world.clock.advance(1)
        assert world.subscriptions.undo(ACME, GENERAL, changes, by=PLAIN)
        # The creator stays, or is the person who restores: an id may be erased meanwhile.
        maker = {"unsubscribe": PLAIN, "change": BEN}.get(what, ANN)
        before = [
            replace(one, created_by=maker) if one.topic == "deploys" else one for one in before
        ]
        assert world.specs() == before
        assert not world.subscriptions.undo(ACME, GENERAL, changes)
        assert world.specs() == before

    def test_an_undone_removal_keeps_its_deliveries_and_its_pause(self, world: World) -> None:
        world.subscribe("deploys")
        world.send()
        with world.database.writing() as session:
            pause(session, ACME, GENERAL, PauseReason.ARCHIVED)
        before = world.subscriptions.of_address(ACME, GENERAL)
        changes = world.subscriptions.mute(ACME, GENERAL, world.clock() + timedelta(hours=1))

        assert world.subscriptions.undo(ACME, GENERAL, changes)

        [after] = world.subscriptions.of_address(ACME, GENERAL)
        assert after.last is not None
        assert [replace(after, changed_at=before[0].changed_at)] == before

    def test_a_change_is_not_undone_after_another(self, world: World) -> None:
        first = world.subscribe("deploys")
        world.clock.advance(1)
        world.subscribe("deploys", "a=b")

        assert not world.subscriptions.undo(ACME, GENERAL, [first])
        assert [one.filter for one in world.specs()] == ["a=b"]

    def test_only_the_last_removal_can_be_undone(self, world: World) -> None:
        endings = []
        for filter_ in ("", "a=b"):
            world.subscribe("deploys", filter_)
            world.clock.advance(5)
            endings.append(world.subscriptions.unsubscribe(ACME, GENERAL, "deploys"))
            world.clock.advance(5)
        first, second = endings
        assert first is not None
        assert second is not None

        assert not world.subscriptions.undo(ACME, GENERAL, [first])
        assert world.specs() == []
        assert world.subscriptions.undo(ACME, GENERAL, [second])
        assert [one.filter for one in world.specs()] == ["a=b"]

    def test_after_two_removals_only_the_last_button_undoes(self, world: World) -> None:
        world.subscribe("deploys")
        first = world.subscriptions.unsubscribe(ACME, GENERAL, "deploys")
        assert first is not None
        world.clock.advance(5)
        assert world.subscriptions.undo(ACME, GENERAL, [first])
        world.clock.advance(5)
        assert world.subscriptions.unsubscribe(ACME, GENERAL, "deploys") is not None

        assert not world.subscriptions.undo(ACME, GENERAL, [first])

    def test_a_removal_can_be_undone_for_a_day(self, world: World) -> None:
        world.subscribe("deploys")
        ended = world.subscriptions.unsubscribe(ACME, GENERAL, "deploys")
        assert ended is not None
        world.clock.advance(86_400)

        assert not world.subscriptions.undo(ACME, GENERAL, [ended])

    def test_all_of_a_change_is_undone_or_nothing(self, world: World) -> None:
        world.subscribe("a")
        world.subscribe("b")
        world.clock.advance(1)
        changes = world.subscriptions.mute(ACME, GENERAL, world.clock() + timedelta(hours=1))
        world.clock.advance(1)
        world.subscriptions.unsubscribe(ACME, GENERAL, "b")

        assert not world.subscriptions.undo(ACME, GENERAL, changes)
        assert [one.muted_until is not None for one in world.specs()] == [True]


class TestPreviews:
    def test_it_has_the_notifications_that_match(self, world: World, clock: FakeClock) -> None:
        world.send(title="Long ago")
        clock.advance(8 * 86400)
        for number in range(5):
            world.send("topic:deploys/api", title=f"Error {number}", severity="error")
        world.send("topic:deploys/web", text="All is well", severity="success")
        world.send("topic:other", severity="error")
        world.send(GENERAL, severity="error")

        some = world.previews.recent(ACME).preview("deploys/*", "severity>=error", list)
        all_ = world.previews.recent(ACME).preview("deploys/*", "", list)

        assert (some.sent, some.wanted) == (6, 5)
        assert [one.headline for one in some.examples] == ["Error 4", "Error 3", "Error 2"]
        assert all_.wanted == 6
        assert all_.examples[0].headline == "All is well"
        assert world.previews.recent(BETA).preview("*", "", list).sent == 0
        assert world.previews.recent(ACME).topics == ["other", "deploys/web", "deploys/api"]

    def test_similar_names_are_suggested(self, world: World) -> None:
        world.send("topic:payroll", fields=[{"name": "Environment", "value": "test"}])
        world.send("topic:pay/rolls", fields=[{"name": "Element", "value": "x"}])
        lately = world.previews.recent(ACME)

        near = [lately.near_topic(one) for one in ("payrol", "pay/roll", "payroll", "pay*", "hr")]
        preview = lately.preview("*", "enviroment=test severity=info owner=x", list)

        assert near == ["payroll", "pay/rolls", None, None, None]
        assert preview.misspelled == {"enviroment": "environment"}


COSTLY_SECONDS = 3.0


class TestCosts:
    """Processor time is measured, so that other processes do not count."""

    def test_previews_of_many_topics_are_cheap(self, world: World) -> None:
        rows = [_with_names(world, range(start, start + 100)) for start in range(0, 10_000, 100)]
        with world.database.writing() as session:
            session.execute(insert(Notification), rows)
        wanted = " ".join(f"{_alike(-number)}=x" for number in range(1, 6))
        began = process_time()

        lately = world.previews.recent(ACME)
        lately.near_topic(_alike(-1))
        lately.preview("*", wanted, list)

        assert process_time() - began < COSTLY_SECONDS

    def test_topics_with_patterns_in_common_are_routed_once(self, world: World) -> None:
        for number in range(100):
            world.subscribe("*", to=f"C{number:010}")
        topics = [f"topic:{number}" for number in range(100)]
        requests = [read_one({"to": topics, "text": "x"}, world.clock()) for _ in range(100)]
        drafts = [RoutingRequest(one.to, one.content()) for one in requests]
        began = process_time()

        with world.database.reading_connection() as connection:
            routes = route(connection, ACME, drafts, world.clock())

        assert [len(one) for one in routes] == [100] * 100
        assert process_time() - began < COSTLY_SECONDS


def _with_names(world: World, numbers: range) -> dict[str, Any]:
    """Return a notification to as many topics as possible, with the same names of fields."""
    world.clock.advance(0.001)
    names = [_alike(number) for number in numbers]
    said = {"text": "x", "fields": [{"name": name, "value": "x"} for name in names[:20]]}
    row = {"team_id": ACME, "source": "command", "topics": " ".join(names), "content": said}
    return {**row, "id": new_id(world.clock()), "created_at": world.clock()}


def _alike(number: int) -> str:
    """Return one of many names of two letters: comparing them takes long."""
    return f"{int(sha256(str(number).encode()).hexdigest(), 16):b}"[:78]


TOPICS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
PATTERNS = st.one_of(TOPICS, TOPICS.map(lambda topic: f"{topic}/*"), st.just("*"))
SEVERITIES = ["info", "success", "warning", "error", "critical"]


@given(
    st.lists(
        st.tuples(PATTERNS, st.sampled_from([GENERAL, RANDOM, ANN]), st.sampled_from(SEVERITIES)),
        max_size=6,
        unique_by=lambda one: one[:2],
    ),
    st.lists(TOPICS, min_size=1, max_size=3),
    st.sampled_from(SEVERITIES),
)
@hypothesis_settings(
    max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_matching_subscriber_gets_it_once(
    world: World, specs: list[tuple[str, str, str]], topics: list[str], severity: str
) -> None:
    with world.database.writing() as session:
        for model in (Delivery, Notification, Subscription):
            session.execute(delete(model))
    for pattern, to, least in specs:
        world.subscribe(pattern, f"severity>={least}", to=to)

    reached = world.send([f"topic:{topic}" for topic in topics], severity=severity)

    wanted = {
        to
        for pattern, to, least in specs
        if any(pattern in patterns_for(topic) for topic in topics)
        and SEVERITIES.index(severity) >= SEVERITIES.index(least)
    }
    assert sorted(reached) == sorted(wanted)
