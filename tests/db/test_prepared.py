"""Prepared reads."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import bindparam, event, func, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import OAuthState, RateLimit
from tests.conftest import FakeClock
from tests.statements import statements_of

MOMENTS = PreparedSelect(
    select(OAuthState.state_hash, OAuthState.expires_at)
    .where(OAuthState.expires_at >= bindparam("since"), OAuthState.state_hash.in_(("one", "two")))
    .order_by(OAuthState.state_hash)
    .limit(5)
)
BACKEND = PreparedSelect(select(func.pg_backend_pid().label("pid")))
LIMITS = PreparedSelect(select(RateLimit.free_at).where(RateLimit.team_id == bindparam("team_id")))


@pytest.fixture
def stored(database: Database, clock: FakeClock) -> Database:
    with database.writing() as session:
        session.add_all(
            [OAuthState(state_hash=item, expires_at=clock()) for item in ("two", "one", "other")]
        )
    return database


def named(rows: list[Any]) -> list[tuple[str, object]]:
    return [(row.state_hash, row.expires_at) for row in rows]


def test_rows_equal_those_of_an_ordinary_read(stored: Database, clock: FakeClock) -> None:
    expected = [("one", clock()), ("two", clock())]

    assert named(stored.fetch(MOMENTS, {"since": clock()})) == expected
    with statements_of(stored) as seen:
        assert named(stored.fetch(MOMENTS, {"since": clock()})) == expected
    assert len(seen) == 1


def test_each_read_sees_committed_data(stored: Database, clock: FakeClock) -> None:
    assert len(stored.fetch(MOMENTS, {"since": clock()})) == 2

    with stored.writing_connection() as connection:
        connection.execute(text("DELETE FROM oauth_states WHERE state_hash = 'two'"))

    assert named(stored.fetch(MOMENTS, {"since": clock()})) == [("one", clock())]


def test_a_read_releases_its_connection(stored: Database, clock: FakeClock) -> None:
    out: list[int] = []
    event.listen(stored.reading_engine, "checkout", lambda *_: out.append(1))
    event.listen(stored.reading_engine, "checkin", lambda *_: out.append(-1))

    stored.fetch(MOMENTS, {"since": clock()})

    assert out == [1, -1]


def test_a_parameter_without_a_value_is_an_error(stored: Database) -> None:
    with pytest.raises(KeyError):
        stored.fetch(MOMENTS, {})


def test_errors_are_sqlalchemys(empty_database: Database) -> None:
    # On PostgreSQL the missing table is an error of the program.
    with pytest.raises((OperationalError, ProgrammingError)):
        empty_database.fetch(LIMITS, {"team_id": "T1"})


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lost_connection_is_replaced(stored: Database) -> None:
    with stored.engine.connect() as other:
        [first] = stored.fetch(BACKEND, {})
        other.execute(select(func.pg_terminate_backend(first.pid)))
        other.rollback()

        [second] = stored.fetch(BACKEND, {})

    assert second.pid != first.pid
