"""Prepared reads: compiled once, and run directly on the driver's connection on every request.

For such a query, SQLAlchemy needs ten times as long to compile, connect and wrap results as SQLite
needs to answer. Prepared reads have the same types and the same errors.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, Select

Values = Mapping[str, Any]
_Processor = Callable[[Any], Any] | None


class PreparedSelect:
    """A SELECT for `Database.fetch`. Define it as a constant, because it is cached forever.

    Parameters are single values: a list of variable length has no fixed statement.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self.statement = statement


class CompiledSelect:
    """A prepared SELECT, compiled for the driver of one engine."""

    def __init__(self, prepared: PreparedSelect, engine: Engine) -> None:
        dialect, statement = engine.dialect, prepared.statement
        compiled: Any = statement.compile(dialect=dialect)
        processors: dict[str, _Processor] = {
            name: parameter.type.dialect_impl(dialect).bind_processor(dialect)
            for parameter, name in compiled.bind_names.items()
        }
        later = {name for parameter, name in compiled.bind_names.items() if parameter.required}
        # Constant lists become part of the statement.
        expanded = compiled.construct_expanded_state(dict.fromkeys(later))
        self._engine = engine
        self._sql: str = expanded.statement
        self._names: list[str] | None = expanded.positiontup
        self._later = [(name, processors.pop(name)) for name in later]
        self._constants: dict[str, Any] = dict(expanded.parameters)
        for key, process in processors.items():
            for name in expanded.parameter_expansion.get(key, [key]):
                self._constants[name] = _processed(process, self._constants[name])
        columns = list(statement.selected_columns)
        row: Any = namedtuple("Row", [str(column.key) for column in columns], rename=True)  # type: ignore[misc]
        self._make_row: Callable[[list[Any]], Any] = row._make
        read = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]
        self._read: list[tuple[int, Callable[[Any], Any]]] = [
            (number, process) for number, process in enumerate(read) if process is not None
        ]

    def fetch(self, values: Values) -> list[Any]:
        """Return the rows. Errors of the driver and the pool propagate.

        Raises:
            KeyError: a parameter has no value.
        """
        parameters = self._parameters(values)
        with closing(self._engine.raw_connection()) as connection:
            try:
                cursor = connection.cursor()
                cursor.execute(self._sql, parameters)
                rows = cursor.fetchall()
                cursor.close()
            except BaseException:
                connection.invalidate()
                raise
        return [self._as_row(row) for row in rows]

    def _parameters(self, values: Values) -> Any:
        given = dict(self._constants)
        for name, process in self._later:
            given[name] = _processed(process, values[name])
        return given if self._names is None else [given[name] for name in self._names]

    def _as_row(self, row: tuple[Any, ...]) -> Any:
        values = list(row)
        for number, process in self._read:
            values[number] = process(values[number])
        return self._make_row(values)


def _processed(process: _Processor, value: Any) -> Any:
    return value if process is None else process(value)
