"""The `state` of an install: ten minutes, one use, kept as a hash."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select

from bolt_app.db import Database
from bolt_app.db.models import OAuthState
from bolt_app.oauth.state_store import SQLAlchemyStateStore
from tests.conftest import FakeClock


@pytest.fixture
def states(database: Database, clock: FakeClock) -> SQLAlchemyStateStore:
    return SQLAlchemyStateStore(database, clock=clock)


def hashes(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(OAuthState.state_hash)))


def test_a_state_is_good_once(states: SQLAlchemyStateStore) -> None:
    state = states.issue()

    assert states.consume(state)
    assert not states.consume(state)


@pytest.mark.parametrize("state", ["", "guessed", "' OR 1=1 --", "\0", "ü" * 5000])
def test_a_state_nobody_issued_is_no_good(states: SQLAlchemyStateStore, state: str) -> None:
    states.issue()

    assert not states.consume(state)


def test_the_hash_is_no_state(database: Database, states: SQLAlchemyStateStore) -> None:
    state = states.issue()

    assert hashes(database) == [hashlib.sha256(state.encode()).hexdigest()]
    assert not states.consume(hashes(database)[0])
    assert states.consume(state)


def test_every_state_is_another_and_long_enough(states: SQLAlchemyStateStore) -> None:
    issued = [states.issue() for _ in range(50)]

    assert len(set(issued)) == 50
    assert all(len(state) >= 43 for state in issued)


def test_it_lasts_ten_minutes(states: SQLAlchemyStateStore, clock: FakeClock) -> None:
    in_time, too_late = states.issue(), states.issue()

    clock.advance(599)
    assert states.consume(in_time)
    clock.advance(1)
    assert not states.consume(too_late)


def test_how_long_it_lasts_can_be_said(database: Database, clock: FakeClock) -> None:
    states = SQLAlchemyStateStore(database, clock=clock, expiration_seconds=5)
    state = states.issue()
    clock.advance(5)

    assert not states.consume(state)


def test_what_has_expired_is_swept(
    database: Database, states: SQLAlchemyStateStore, clock: FakeClock
) -> None:
    for _ in range(5):
        states.issue()
    clock.advance(300)
    live = states.issue()
    clock.advance(300)
    states.issue()

    assert len(hashes(database)) == 2
    assert states.consume(live)


def test_another_process_may_consume_it(
    database: Database, states: SQLAlchemyStateStore, clock: FakeClock
) -> None:
    assert SQLAlchemyStateStore(database, clock=clock).consume(states.issue())


def test_of_racing_callbacks_one_passes(states: SQLAlchemyStateStore) -> None:
    racers, rounds = 4, 40
    barrier = Barrier(racers)

    def race(state: str) -> bool:
        barrier.wait()
        return states.consume(state)

    with ThreadPoolExecutor(racers) as threads:
        for _ in range(rounds):
            state = states.issue()
            assert sorted(threads.map(race, [state] * racers)) == [False] * (racers - 1) + [True]


def test_many_issue_and_sweep_at_once(
    database: Database, states: SQLAlchemyStateStore, clock: FakeClock
) -> None:
    for _ in range(200):
        states.issue()
    clock.advance(600)
    barrier = Barrier(16)

    def issue(_: int) -> str:
        barrier.wait()
        return states.issue()

    with ThreadPoolExecutor(16) as threads:
        issued = list(threads.map(issue, range(16)))

    assert len(hashes(database)) == 16
    assert all(states.consume(state) for state in issued)


def test_it_takes_whatever_bolt_passes(states: SQLAlchemyStateStore) -> None:
    assert states.consume(states.issue("positional", named="ignored"))
    assert states.logger.name
