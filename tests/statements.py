"""A recorder of database statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from bolt_app.db import Database


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """Collect the statements executed in the context, except those that begin a transaction."""
    seen: list[str] = []

    def keep(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    engines = (
        {database.engine, database.reading_engine} if database.is_sqlite else {database.engine}
    )
    for engine in engines:
        event.listen(engine, "before_cursor_execute", keep)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", keep)
