"""Two owners with freezes, lost commits, late requests and clock jumps: once, in order, in time.

`random_walk` takes a million steps through the same model.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from bolt_app.notifications.delivery.work import Work
from bolt_app.notifications.delivery.workspace import WorkspaceSchedule
from tests.notifications.delivery import random_walk
from tests.notifications.delivery.model import owner
from tests.notifications.delivery.model.owner import Owner, Steps, Term
from tests.notifications.delivery.model.run import TEAMS, Run
from tests.notifications.delivery.model.slack import Fate
from tests.notifications.delivery.model.store import Commit, Row, Store
from tests.property import examples

STEPS = 100
owner_numbers = st.integers(0, 1)
teams = st.sampled_from(TEAMS)


class DeliveryProtocol(RuleBasedStateMachine):
    """All actions of senders, owners, the database, Slack and the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Run()

    @rule(
        team=teams,
        lane=st.sampled_from(random_walk.LANES),
        source=st.sampled_from(random_walk.SOURCES),
        rank=st.sampled_from(random_walk.RANKS),
        key=st.sampled_from(random_walk.KEYS),
        count=st.integers(1, 4),
    )
    def accept(
        self, team: str, lane: int, source: str, rank: int, key: str | None, count: int
    ) -> None:
        for _ in range(count):
            self.run.accept(team, lane, source, rank, key)

    @rule(number=owner_numbers, times=st.integers(1, 6))
    def step(self, number: int, times: int) -> None:
        self.run.step(number, times)

    @rule(seconds=st.sampled_from(random_walk.WAITS))
    def advance(self, seconds: float) -> None:
        self.run.advance(seconds)

    @rule(fate=st.sampled_from(Fate))
    def plan_request(self, fate: Fate) -> None:
        self.run.plan_request(fate)

    @rule(fate=st.sampled_from(Commit))
    def plan_commit(self, fate: Commit) -> None:
        self.run.plan_commit(fate)

    @rule(number=owner_numbers)
    def freeze(self, number: int) -> None:
        self.run.freeze(number)

    @rule(number=owner_numbers, seconds=st.sampled_from(random_walk.SUSPENSIONS))
    def suspend(self, number: int, seconds: float) -> None:
        self.run.suspend(number, seconds)

    @rule(number=owner_numbers)
    def thaw(self, number: int) -> None:
        self.run.thaw(number)

    @rule(number=owner_numbers)
    def kill(self, number: int) -> None:
        self.run.kill(number)

    @rule(number=owner_numbers, team=teams)
    def hand_over(self, number: int, team: str) -> None:
        self.run.hand_over(number, team)

    @rule(number=st.integers(0, 99))
    def cancel(self, number: int) -> None:
        self.run.cancel(number)

    @rule(seconds=st.sampled_from(random_walk.JUMPS))
    def jump(self, seconds: float) -> None:
        self.run.jump(seconds)

    def teardown(self) -> None:
        self.run.drain()
        self.run.check_deliveries()


def test_once_in_order_and_in_time() -> None:
    run_state_machine_as_test(
        DeliveryProtocol,
        settings=settings(
            # 10,000 steps with `--hypothesis-profile=long`.
            max_examples=examples(67),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _always_owner(_self: Owner, _term: Term) -> bool:
    return True


def _post_without_look(self: Owner, _term: Term, work: Work) -> Steps:
    yield 0.0
    self.scheduler.retry(work, self.now, self.now)


def _no_second_look(self: Owner, term: Term, work: Work) -> Steps:
    yield 0.0
    self.world.store.queues[term.team].rows[work.delivery_id].second_look_at = None
    self.scheduler.finish(work, self.now)


def _ignore(*_args: object, **_kwargs: object) -> None:
    return None


def _none_of_key(_self: Store, _row: Row, _absorbed: tuple[int, ...]) -> list[Row]:
    return []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "name", "without"),
    [
        (Owner, "_is_owner", _always_owner),
        (Owner, "_look", _post_without_look),
        (Owner, "_second_look", _no_second_look),
        (owner, "TAKEOVER_SECONDS", 0.0),
        (Store, "_compare", _ignore),
        (Store, "_earlier_of_key", _none_of_key),
        (WorkspaceSchedule, "_refill", _ignore),
        (WorkspaceSchedule, "_charge", _ignore),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_part_of_the_protocol_is_needed(
    monkeypatch: pytest.MonkeyPatch, part: object, name: str, without: object
) -> None:
    """Without one part, the model finds a violation."""
    monkeypatch.setattr(part, name, without)

    with pytest.raises(AssertionError):
        _walk(100)


def _walk(episodes: int) -> None:
    for seed in range(episodes):
        random_walk.episode(seed, random_walk.STEPS_AN_EPISODE)


@pytest.mark.slow
def test_random_walk() -> None:
    _walk(10)
