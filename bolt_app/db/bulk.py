"""Updates of many rows in one statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, bindparam, func
from sqlalchemy.types import TypeEngine

Build = Callable[[Mapping[str, Any]], Any]


class BulkUpdate:
    """An UPDATE of many rows at once.

    On PostgreSQL it is one statement with arrays, sent at once. `executemany` would send a
    pipeline: a process suspended in the middle of it keeps its locks, because no server timeout
    applies between the parts of a pipeline
    (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING).
    """

    def __init__(self, columns: Mapping[str, TypeEngine[Any]], build: Build) -> None:
        """Prepare the statement.

        Args:
            columns: names and types of the values of a row.
            build: returns the statement, given an expression for each value.
        """
        self._names = list(columns)
        self._each = build({name: bindparam(name, type_=kind) for name, kind in columns.items()})
        arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in columns.items()]
        given = func.unnest(*arrays).table_valued(*self._names, name="given").render_derived()
        self._all = build({name: given.c[name] for name in columns})

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run the statement for rows, each with a value for every column."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            connection.execute(self._each, list(rows))
        else:
            connection.execute(
                self._all, {name: [row[name] for row in rows] for name in self._names}
            )
