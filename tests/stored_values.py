"""A search through every table of a database."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import inspect, text

from bolt_app.db import Database


def places_of(
    database: Database, *needles: str, ignored: Collection[str] = ()
) -> dict[str, set[str]]:
    """Return the tables and columns with a value that contains one of `needles`, in any case.

    Args:
        ignored: names of tables.
    """
    searched = [needle.lower() for needle in needles]
    found: dict[str, set[str]] = {}
    with database.engine.connect() as connection:
        for table in set(inspect(connection).get_table_names()) - set(ignored):
            for row in connection.execute(text(f"SELECT * FROM {table}")).mappings():  # noqa: S608
                for column, value in row.items():
                    content = json.dumps(value, default=str, ensure_ascii=False).lower()
                    if any(needle in content for needle in searched):
                        found.setdefault(table, set()).add(str(column))
    return found
