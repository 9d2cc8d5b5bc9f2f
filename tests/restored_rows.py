"""Copies of all rows of a test's database, which a later test restores in its own."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy import Table

from bolt_app.db import schema
from bolt_app.db.models import Base


class Rows(Protocol):
    """The rows of a test's database."""

    kind: str

    def look(self) -> object:
        """Return what changes with every row."""

    def copy(self, path: Path) -> None:
        """Copy all rows to a new file."""

    def restore(self, path: Path) -> None:
        """Replace all rows with those of a copy."""

    def close(self) -> None:
        """Close what was opened to see the rows."""


class SqliteRows:
    """The rows of an SQLite file."""

    kind = "sqlite"

    def __init__(self, path: str) -> None:
        self._path = path
        # Browser tests install in another thread.
        self._watching = sqlite3.connect(path, check_same_thread=False)

    def look(self) -> object:
        return self._watching.execute("PRAGMA data_version").fetchone()

    def copy(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as copy:
            self._watching.backup(copy)

    def restore(self, path: Path) -> None:
        with (
            closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as source,
            closing(sqlite3.connect(self._path)) as target,
        ):
            source.backup(target)

    def close(self) -> None:
        self._watching.close()


class PostgresRows:
    """The rows of a schema on PostgreSQL."""

    kind = "postgresql"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Use a connection of all tests, which commits each statement."""
        self._connection = connection

    def look(self) -> object:
        return self._connection.execute(_versions()).fetchall()

    def copy(self, path: Path) -> None:
        filled = {name for name, rows, _ in self._connection.execute(_versions()) if rows}
        contents = [
            (table.name, self._content(table))
            for table in Base.metadata.sorted_tables
            if table.name in filled
        ]
        numbers = self._connection.execute(_numbers()).fetchall()
        path.write_bytes(pickle.dumps((contents, numbers)))

    def restore(self, path: Path) -> None:
        contents, numbers = pickle.loads(path.read_bytes())  # noqa: S301
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(f"{_deletes()} {_restarts(dict(numbers))}")
            for name, content in contents:
                with cursor.copy(f"COPY {_columns(name)} FROM STDIN") as copy:
                    copy.write(content)

    def close(self) -> None:
        """Leave the connection open."""

    def _content(self, table: Table) -> bytes:
        with self._connection.cursor().copy(f"COPY {_columns(table.name)} TO STDOUT") as copy:
            return b"".join(copy)


@cache
def empty_tables() -> str:
    """Return SQL that empties every table and resets its ids.

    TRUNCATE takes ten times as long, because it creates new files for each table and index.
    """
    head = f"UPDATE alembic_version SET version_num = '{schema.head_revision()}';"  # noqa: S608
    return f"BEGIN; {_deletes()} {head} {_restarts({})}; COMMIT"


@cache
def _deletes() -> str:
    return " ".join(
        f"DELETE FROM {table.name};"  # noqa: S608
        for table in reversed(Base.metadata.sorted_tables)
    )


@cache
def _sequences() -> dict[str, str]:
    """Return SQL for the names of the sequences of ids, by table."""
    columns = ((table.name, table.autoincrement_column) for table in Base.metadata.sorted_tables)
    return {
        table: f"pg_get_serial_sequence('{table}', '{column.name}')"
        for table, column in columns
        if column is not None
    }


def _restarts(used: dict[str, int | None]) -> str:
    """Return SQL that sets the last used id of each table."""
    return "SELECT " + ", ".join(
        f"setval({sequence}, {used.get(table) or 1}, {used.get(table) is not None})"
        for table, sequence in _sequences().items()
    )


@cache
def _numbers() -> str:
    """Return SQL that selects the last used id of each table, or nothing."""
    return " UNION ALL ".join(
        f"SELECT '{table}', pg_sequence_last_value({sequence}::regclass)"
        for table, sequence in _sequences().items()
    )


@cache
def _versions() -> str:
    """Return SQL that selects each table's number of rows, and its latest transaction."""
    return " UNION ALL ".join(
        f"SELECT '{table.name}', count(*), max(xmin::text::bigint) FROM {table.name}"  # noqa: S608
        for table in Base.metadata.sorted_tables
    )


@cache
def _columns(name: str) -> str:
    columns = ", ".join(f'"{column.name}"' for column in Base.metadata.tables[name].columns)
    return f"{name} ({columns})"
