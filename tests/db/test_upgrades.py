"""Upgrades from every earlier revision, with data in every table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Integer,
    LargeBinary,
    TableClause,
    Time,
    column,
    func,
    insert,
    inspect,
    literal,
    select,
    table,
    union_all,
)
from sqlalchemy.types import TypeEngine

from bolt_app.db import Database, schema
from bolt_app.db import migrations as scripts
from tests.conftest import FakeClock

REVISIONS = [
    item.revision for item in reversed(list(ScriptDirectory(scripts.__path__[0]).walk_revisions()))
]


# Tables of the first delivery engine, dropped by the second.
REMOVED = {"team_paces", "workers"}
RENAMED = {"hooks": "webhooks"}


def value_for(kind: TypeEngine[Any], now: datetime, number: int) -> Any:
    """Return a value of a column's type; equal in all tables, so that rows refer to each other.

    Args:
        number: of the row, from 1.
    """
    if isinstance(kind, JSON):
        return {"text": f"x{number}"}
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer):
        return number
    if isinstance(kind, DateTime):
        return now
    if isinstance(kind, LargeBinary):
        return f"x{number}".encode()
    if isinstance(kind, Time):
        return now.time()
    return f"x{number}"


def fill(database: Database, tables: Sequence[TableClause], now: datetime, number: int) -> None:
    """Insert a row into every table, first those that others refer to."""
    with database.writing_connection() as connection:
        for one in tables:
            row = {item.name: value_for(item.type, now, number) for item in one.columns}
            connection.execute(insert(one), row)


def counts(database: Database, tables: Sequence[TableClause]) -> dict[str, int]:
    """Return the number of rows of each table."""
    numbers = [select(literal(one.name), func.count()).select_from(one) for one in tables]
    with database.engine.connect() as connection:
        return {name: number for name, number in connection.execute(union_all(*numbers))}


def tables_of(database: Database) -> list[TableClause]:
    """Return all tables, those that others refer to first.

    Only their columns are read: reflecting constraints and indexes too takes three times as long.
    """
    # Not in a transaction, which PostgreSQL ends when a busy machine lets it idle.
    inspector = inspect(database.engine)
    columns = inspector.get_multi_columns()
    return [
        table(name, *(column(one["name"], one["type"]) for one in columns[None, name]))
        for name, _ in inspector.get_sorted_table_and_fkc_names()
        if name not in (None, "alembic_version")
    ]


@pytest.mark.slow
def test_upgrades_from_every_revision_lose_nothing(
    empty_database: Database, clock: FakeClock
) -> None:
    """Every table gets a row at every revision, and all later upgrades change it."""
    expected: Counter[str] = Counter()
    for number, revision in enumerate(REVISIONS, 1):
        schema.upgrade(empty_database, revision)
        tables = tables_of(empty_database)
        found = counts(empty_database, tables)
        for name in (expected.keys() & RENAMED.keys()) - found.keys():
            expected[RENAMED[name]] = expected.pop(name)
        for name in REMOVED - found.keys():
            expected.pop(name, None)

        assert {name: found.get(name) for name in expected} == expected, revision
        # A new table may have rows already, about those of others.
        expected.update({name: found[name] for name in found.keys() - expected.keys()})
        fill(empty_database, tables, clock(), number)
        expected.update(found.keys())

    with empty_database.engine.connect() as connection:
        assert schema.differences(connection) == []
