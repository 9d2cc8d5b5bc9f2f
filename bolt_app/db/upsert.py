"""Insert-or-update statements for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from bolt_app.db.models import Base


def upsert(
    session: Session,
    model: type[Base],
    *,
    key: Mapping[str, Any],
    insert: Mapping[str, Any],
    update: Mapping[str, Any],
    unless: ColumnElement[bool] | None = None,
) -> bool:
    """Insert the row `key` + `insert` + `update`, or set `update` in the row with `key`.

    Returns: whether a row was written.

    Args:
        key: the columns of a unique constraint or of the primary key.
        insert: values only for a new row; they override `update`.
        update: values for a new or existing row.
        unless: a condition on the existing row under which it is not changed.
    """
    statement = _insert(session, model).values({**update, **insert, **key})
    if update:
        statement = statement.on_conflict_do_update(
            index_elements=list(key), set_=dict(update), where=None if unless is None else ~unless
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    written = session.execute(statement.returning(*model.__mapper__.primary_key))
    return written.first() is not None


def count_up(
    session: Session,
    model: type[Base],
    *,
    key: Mapping[str, Any],
    counter: InstrumentedAttribute[int],
) -> None:
    """Increment `counter` in the row with `key`, or insert the row with a counter of 1.

    The row stays locked until the transaction ends.
    """
    session.execute(
        _insert(session, model)
        .values({**key, counter.key: 1})
        .on_conflict_do_update(index_elements=list(key), set_={counter.key: counter + 1})
    )


def insert_new(session: Session | Connection, model: type[Base], row: Mapping[str, Any]) -> bool:
    """Insert `row` unless its primary key exists; return whether it was new.

    The second of two transactions with the same key waits for the first to end.
    """
    statement = _insert(session, model).values(dict(row)).on_conflict_do_nothing()
    return session.execute(statement.returning(*model.__mapper__.primary_key)).first() is not None


def _insert(session: Session | Connection, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    bind = session if isinstance(session, Connection) else session.get_bind()
    if bind.dialect.name == "sqlite":
        return sqlite.insert(model)
    return postgresql.insert(model)
