"""The OAuth `state`: signed, valid for ten minutes and one use, stored only after use."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from itsdangerous import URLSafeSerializer
from sqlalchemy import select

from bolt_app.db import Database
from bolt_app.db.models import OAuthState
from bolt_app.installations.state import StateStore
from tests.conftest import FakeClock

SECRET = "a-secret-of-at-least-32-characters"


@pytest.fixture
def states(database: Database, clock: FakeClock) -> StateStore:
    return StateStore(database, SECRET, clock=clock)


def hashes(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(OAuthState.state_hash)))


def test_a_state_is_good_once(states: StateStore) -> None:
    state = states.issue()

    assert states.consume(state)
    assert not states.consume(state)


def test_a_state_that_is_looked_at_stays_good(
    database: Database, states: StateStore, clock: FakeClock
) -> None:
    state, late = states.issue(), states.issue()

    assert states.is_good(state)
    assert states.is_good(state)
    assert hashes(database) == []
    assert states.consume(state)
    assert not states.is_good(state)
    assert not states.is_good("guessed")
    clock.advance(600)
    assert not states.is_good(late)


def test_issuing_stores_nothing(database: Database, states: StateStore) -> None:
    for _ in range(50):
        states.issue()

    assert hashes(database) == []


@pytest.mark.parametrize(
    "state", ["", "guessed", "' OR 1=1 --", "\0", "ü" * 5000, "\ud800", "eyJ4IjoxfQ.x", "a.b.c"]
)
def test_a_forged_state_is_invalid(database: Database, states: StateStore, state: str) -> None:
    assert not states.consume(state)
    assert states.read(state) is None
    assert hashes(database) == []


def test_a_state_signed_for_something_else_is_no_good(
    database: Database, states: StateStore, clock: FakeClock
) -> None:
    said = {"nonce": "x", "expires": clock().timestamp() + 60, "only": None, "team": None}
    elsewhere = str(URLSafeSerializer(SECRET, salt="cookie-session").dumps(said))
    another = StateStore(database, SECRET[::-1], clock=clock).issue()

    assert not states.consume(elsewhere)
    assert not states.consume(another)


def test_a_changed_state_is_no_good(states: StateStore) -> None:
    payload, _, signature = states.issue().rpartition(".")

    assert not states.consume(f"{payload}A.{signature}")


def test_only_the_hash_of_a_used_state_is_stored(database: Database, states: StateStore) -> None:
    state = states.issue()
    states.consume(state)

    assert hashes(database) == [hashlib.sha256(state.encode()).hexdigest()]
    assert not states.consume(hashes(database)[0])


def test_every_state_is_another_and_long_enough(states: StateStore) -> None:
    issued = [states.issue() for _ in range(50)]

    assert len(set(issued)) == 50
    assert all(43 <= len(state) < 256 for state in issued)


def test_it_records_the_request(states: StateStore) -> None:
    attempt = states.read(states.issue(only="profile", team_id="T1"))

    assert attempt is not None
    assert attempt.query == {"only": "profile", "team": "T1"}


def test_it_lasts_ten_minutes(states: StateStore, clock: FakeClock) -> None:
    in_time, too_late = states.issue(), states.issue()

    clock.advance(598)
    assert states.consume(in_time)
    clock.advance(2)
    assert not states.consume(too_late)


def test_its_lifetime_is_configurable(database: Database, clock: FakeClock) -> None:
    states = StateStore(database, SECRET, clock=clock, expiration_seconds=5)
    state = states.issue()
    clock.advance(5)

    assert not states.consume(state)


def test_used_states_are_deleted_once_they_have_expired(
    database: Database, states: StateStore, clock: FakeClock
) -> None:
    used = [states.issue() for _ in range(5)]
    assert all(states.consume(state) for state in used)
    clock.advance(601)
    states.consume(states.issue())

    assert len(hashes(database)) == 1
    assert not any(states.consume(state) for state in used)


def test_another_process_may_consume_it(
    database: Database, states: StateStore, clock: FakeClock
) -> None:
    assert StateStore(database, SECRET, clock=clock).consume(states.issue())


def test_only_one_of_concurrent_callbacks_succeeds(states: StateStore) -> None:
    racers, rounds = 4, 40
    barrier = Barrier(racers)

    def race(state: str) -> bool:
        barrier.wait()
        return states.consume(state)

    with ThreadPoolExecutor(racers) as threads:
        for _ in range(rounds):
            state = states.issue()
            assert sorted(threads.map(race, [state] * racers)) == [False] * (racers - 1) + [True]


def test_many_consume_and_delete_at_once(
    database: Database, states: StateStore, clock: FakeClock
) -> None:
    for _ in range(50):
        states.consume(states.issue())
    clock.advance(601)
    barrier = Barrier(16)

    def consume(state: str) -> bool:
        barrier.wait()
        return states.consume(state)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(consume, [states.issue() for _ in range(16)]))

    assert len(hashes(database)) == 16


def test_it_accepts_the_arguments_of_bolt(states: StateStore) -> None:
    assert states.consume(states.issue("positional", named="ignored"))
    assert states.logger.name
