"""Upgrades from every earlier revision, with data in every table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Time,
    func,
    insert,
    select,
)

from bolt_app.db import Database, schema
from bolt_app.db import migrations as scripts
from tests.conftest import FakeClock

REVISIONS = [
    item.revision for item in reversed(list(ScriptDirectory(scripts.__path__[0]).walk_revisions()))
]


# Tables of the first delivery engine, dropped by the second.
REMOVED = {"team_paces", "workers"}
RENAMED = {"hooks": "webhooks"}


def value_for(column: Column[Any], now: datetime) -> Any:
    """Return a value for a column; equal in each table, so that rows refer to each other."""
    kind = column.type
    if isinstance(kind, JSON):
        return {"text": "x"}
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer):
        return 1
    if isinstance(kind, DateTime):
        return now
    if isinstance(kind, LargeBinary):
        return b"x"
    if isinstance(kind, Time):
        return now.time()
    return "x"


def fill(database: Database, now: datetime) -> dict[str, int]:
    """Insert a row into every table; return the number of rows of each."""
    found = MetaData()
    # Not in the transaction, which PostgreSQL ends when a busy machine lets it idle.
    found.reflect(database.engine)
    tables = [item for item in found.sorted_tables if item.name != "alembic_version"]
    with database.writing_connection() as connection:
        for table in tables:
            row = {column.name: value_for(column, now) for column in table.columns}
            connection.execute(insert(table).values(row))
        return counts(connection, tables)


def counts(connection: Connection, tables: list[Table]) -> dict[str, int]:
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in tables
    }


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_upgrade_loses_nothing(
    empty_database: Database, clock: FakeClock, revision: str
) -> None:
    schema.upgrade(empty_database, revision)
    before = fill(empty_database, clock())
    assert set(before.values()) == {1}

    schema.upgrade(empty_database)

    found = MetaData()
    found.reflect(empty_database.engine)
    with empty_database.engine.connect() as connection:
        after = counts(connection, found.sorted_tables)
    with empty_database.engine.connect() as connection:
        assert schema.differences(connection) == []
    kept = {RENAMED.get(name, name): count for name, count in before.items() if name not in REMOVED}
    assert {name: after.get(name) for name in kept} == kept
