"""Statements for many rows. Their text does not depend on the number of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Boolean, Connection, Dialect, Text, bindparam, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

Build = Callable[[Mapping[str, Any]], Any]


class _List(TypeDecorator[Collection[Any]]):
    """A parameter with many values: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.item))

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        values = list(value or ())
        return json.dumps(values) if dialect.name == "sqlite" else values


class _IsAnyOf(FunctionElement[bool]):
    name = "is_any_of"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        # Comparing it with 1, as SQLAlchemy does on SQLite, would keep SQLite from using an index.
        return self


@compiles(_IsAnyOf, "postgresql")
def _compile_array(element: _IsAnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{column} = ANY({values})"


@compiles(_IsAnyOf, "sqlite")
def _compile_json(element: _IsAnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608


def is_any_of(
    column: Any, name: str | None = None, *, values: Collection[Any] | None = None
) -> _IsAnyOf:
    """Return the condition that a column has one of many values.

    Unlike `IN` it has the same text for any number of values, so that PostgreSQL plans it once and
    no limit of a statement's parameters applies.

    Args:
        name: of the parameter that takes the values at execution.
        values: the values, if they are known.
    """
    kind = _List(column.type)
    given = bindparam(name, type_=kind) if values is None else bindparam(name, values, type_=kind)
    return _IsAnyOf(column, given)


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
