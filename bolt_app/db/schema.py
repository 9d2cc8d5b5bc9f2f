"""The database's schema: bring it up to date, compare it with the models.

At each start it is only checked. Alembic, which takes long to load, comes with `db.migrating`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

from bolt_app.db.engine import Database

MIGRATIONS = Path(__file__).parent / "migrations"
# https://alembic.sqlalchemy.org/en/latest/tutorial.html#running-our-first-migration
_VERSION_TABLE = "alembic_version"
_ADVISORY_LOCK = 0x62656C6C686F70  # "bellhop"


class SchemaError(Exception):
    """The database's schema is not the one this version of Bellhop works with."""


def upgrade(database: Database, revision: str = "head") -> str | None:
    """Bring the schema up to `revision` and return the revision it was at before.

    All of it is one transaction under one lock, so several processes may start at once: the first
    migrates, the others wait and find nothing left to do.

    Raises:
        SchemaError: the database is at a revision this version of Bellhop does not know.
    """
    with database.writing_connection() as connection:
        if not database.is_sqlite:
            _take_time(connection)
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK}
            )
        before = current_revision(connection)
        _refuse_unknown(before)
        if revision == "head" and before == head_revision():
            return before
        from bolt_app.db.migrating import migrate_up

        migrate_up(connection, revision)
        return before


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to `revision`, or to nothing with `base`."""
    from bolt_app.db.migrating import migrate_down

    with database.writing_connection() as connection:
        if not database.is_sqlite:
            _take_time(connection)
        migrate_down(connection, revision)


def require_current(database: Database) -> None:
    """Make sure that the schema is up to date.

    Raises:
        SchemaError: it is not, with the command that mends it.
    """
    with database.engine.connect() as connection:
        current = current_revision(connection)
    _refuse_unknown(current)
    if current != head_revision():
        raise SchemaError(
            f"The database's schema is at {current or 'no revision'} and should be at "
            f"{head_revision()}: run `bellhop db upgrade`."
        )


def current_revision(connection: Connection) -> str | None:
    """Return the revision the database is at, or None where nothing was ever migrated."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    return revision


def head_revision() -> str:
    """Return the newest revision this version of Bellhop knows."""
    return max(_revisions())


def differences(connection: Connection) -> list[object]:
    """Return how the database's schema differs from the models; empty when it does not."""
    from bolt_app.db.migrating import compare_with_models

    return compare_with_models(connection)


def _take_time(connection: Connection) -> None:
    """Let this transaction wait for locks and pause between statements as long as it takes.

    Processes that start together wait for the one that migrates, which waits for those at work.
    """
    timeouts = ("lock_timeout", "idle_in_transaction_session_timeout")
    for name in timeouts:
        connection.execute(select(func.set_config(name, "0", True)))


def _refuse_unknown(revision: str | None) -> None:
    if revision is not None and revision not in _revisions():
        raise SchemaError(
            f"The database is at revision {revision}, which a newer Bellhop made: "
            "run that version, or restore a backup."
        )


@cache
def _revisions() -> frozenset[str]:
    """Return the revisions of the migrations, by which their files are named and follow each other.

    They are part of the program: read once in a process.
    """
    return frozenset(path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
