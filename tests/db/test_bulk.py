"""Conditions with many values in one parameter."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, select

from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import RateLimit
from tests.conftest import FakeClock

_FOUND = (
    select(RateLimit.method)
    .where(is_any_of(RateLimit.team_id, "team_ids"), RateLimit.method != bindparam("other"))
    .order_by(RateLimit.method)
)


@pytest.mark.parametrize(
    ("team_ids", "found"),
    [
        ([], []),
        (["T1"], ["a"]),
        (["T2", "T1", "T1"], ["a", "b"]),
        ({"T1", "T2", "T3"}, ["a", "b"]),
        (["T1', 'T2", '"', "\\", "Ü"], ["d"]),
        (["\U0001f600", "\x01", "\u2028"], ["e"]),
    ],
)
def test_rows_with_any_of_the_values(
    database: Database, clock: FakeClock, team_ids: list[str], found: list[str]
) -> None:
    with database.writing() as session:
        session.add_all(
            RateLimit(team_id=team_id, method=method, free_at=clock())
            for team_id, method in (
                ("T1", "a"),
                ("T2", "b"),
                ("T3", "c"),
                ("Ü", "d"),
                ("\U0001f600", "e"),
            )
        )

    with database.reading_connection() as connection:
        methods = connection.scalars(_FOUND, {"team_ids": team_ids, "other": "c"}).all()

    assert methods == found


@pytest.mark.sqlite_only
def test_sqlite_finds_the_rows_by_an_index(database: Database) -> None:
    with database.reading_connection() as connection:
        sql = str(_FOUND.compile(database.engine))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ("[]", "c")).all()

    assert any("SEARCH rate_limits" in row.detail for row in plan)
