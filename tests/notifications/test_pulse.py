"""Workers show that they live, and take over from those that do not; clocks may jump."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from bolt_app.notifications.pulse import Pulse
from sqlalchemy import select

from bolt_app.db.models import Lane, Worker
from tests.notifications.hand import Hand, accept, lane_of, states, texts
from tests.people import ANN, GENERAL
from tests.running import Bellhop

Make = Callable[[], Pulse]


class FakeMonotonic:
    """A clock that nobody can set, led by a test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def pulse(bellhop: Bellhop, monotonic: FakeMonotonic) -> Make:
    """Make workers' pulses; Bellhop is installed."""
    bellhop.install(ANN)

    def make() -> Pulse:
        return Pulse(bellhop.services.database, clock=bellhop.clock, monotonic=monotonic)

    return make


def workers(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return list(session.scalars(select(Worker.id)))


def leased_to(bellhop: Bellhop) -> list[str | None]:
    with bellhop.services.database.reading() as session:
        return list(session.scalars(select(Lane.worker_id)))


def live(monotonic: FakeMonotonic, seconds: int, *living: Pulse) -> None:
    """Let time pass for workers that look after their pulse every second."""
    for _ in range(seconds):
        monotonic.now += 1
        for one in living:
            one.beat()


def test_a_dead_workers_lanes_are_taken_over_within_half_a_minute(
    bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic
) -> None:
    dead, living = pulse(), pulse()
    accept(bellhop, GENERAL, "on")
    Hand(bellhop, dead.worker_id()).begin()
    live(monotonic, 20, dead, living)
    assert leased_to(bellhop) == [dead.worker_id()]

    live(monotonic, 22, living)

    assert workers(bellhop) == [living.worker_id()]
    Hand(bellhop, living.worker_id()).deliver()
    assert texts(bellhop, GENERAL) == ["on"]


def test_a_living_workers_lanes_are_left_to_it(
    bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic
) -> None:
    one, other = pulse(), pulse()
    accept(bellhop, GENERAL, "mine")
    Hand(bellhop, one.worker_id()).begin()

    live(monotonic, 300, one, other)

    assert leased_to(bellhop) == [one.worker_id()]
    assert one.is_sure(one.worker_id())


def test_whoever_cannot_beat_stops_sending_long_before_its_lanes_are_taken(
    bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic
) -> None:
    stuck, watching = pulse(), pulse()
    live(monotonic, 10, stuck, watching)
    sure_for = 0
    while stuck.is_sure(stuck.worker_id()):
        live(monotonic, 1, watching)
        sure_for += 1

    assert sure_for <= 11
    assert len(workers(bellhop)) == 2


def test_one_that_was_thought_dead_begins_anew(
    bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic
) -> None:
    slept, watching = pulse(), pulse()
    before = slept.worker_id()
    live(monotonic, 10, slept, watching)
    live(monotonic, 30, watching)

    slept.beat()

    assert slept.worker_id() != before
    assert set(workers(bellhop)) == {slept.worker_id(), watching.worker_id()}
    assert slept.is_sure(slept.worker_id())
    assert not slept.is_sure(before)


def test_after_all_were_out_together_nobody_is_thought_dead(
    bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic
) -> None:
    one, other = pulse(), pulse()
    live(monotonic, 10, one, other)
    # The database was down for everybody.
    monotonic.now += 60
    one.beat()

    assert len(workers(bellhop)) == 2
    live(monotonic, 30, one, other)
    assert len(workers(bellhop)) == 2


def test_a_worker_that_stops_leaves_nothing_behind(bellhop: Bellhop, pulse: Make) -> None:
    stopping = pulse()
    accept(bellhop, GENERAL, "for another")
    Hand(bellhop, stopping.worker_id()).begin()

    stopping.end()

    assert workers(bellhop) == []
    Hand(bellhop).deliver()
    assert texts(bellhop, GENERAL) == ["for another"]


class TestClockJumps:
    @pytest.fixture(autouse=True)
    def slack_keeps_no_time(self, bellhop: Bellhop) -> None:
        """The stand-in has the test's clock, and must not mind that it jumps."""
        bellhop.slack.limits.enabled = False

    def test_back(self, bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic) -> None:
        worker = pulse()
        hand = Hand(bellhop, worker.worker_id())
        # The clock is an hour ahead, while this is accepted and the first of it sent.
        bellhop.clock.advance(3600)
        live(monotonic, 6, worker)
        ids = [accept(bellhop, GENERAL, str(number)) for number in range(2)]
        soon = accept(bellhop, GENERAL, "soon", send_at=bellhop.clock() - timedelta(minutes=50))
        hand.deliver()
        assert states(bellhop, *ids, soon) == ["sent", "waiting", "waiting"]

        bellhop.clock.advance(-3600)
        assert hand.deliver() == 0
        live(monotonic, 6, worker)
        hand.deliver()

        assert states(bellhop, *ids, soon) == ["sent", "sent", "waiting"]

    def test_forward(self, bellhop: Bellhop, pulse: Make, monotonic: FakeMonotonic) -> None:
        one, other = pulse(), pulse()
        hand = Hand(bellhop, one.worker_id())
        accept(bellhop, GENERAL, "1")
        [job] = hand.begin()

        bellhop.clock.advance(365 * 86_400)
        live(monotonic, 6, one, other)

        assert leased_to(bellhop) == [one.worker_id()]
        hand.write([hand.carry_out(job)])
        assert texts(bellhop, GENERAL) == ["1"]

    def test_a_wait_of_a_wrong_year_is_not_believed_after_a_restart(
        self, bellhop: Bellhop, pulse: Make
    ) -> None:
        hand = Hand(bellhop)
        bellhop.clock.advance(365 * 86_400)
        accept(bellhop, GENERAL, "1")
        accept(bellhop, GENERAL, "2")
        hand.deliver()
        bellhop.clock.advance(-365 * 86_400)

        pulse().worker_id()

        assert lane_of(bellhop, GENERAL).free_at <= bellhop.clock()
        hand.deliver()
        assert texts(bellhop, GENERAL) == ["1", "2"]
