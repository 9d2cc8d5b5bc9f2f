"""The database schema: upgrade, downgrade and checks against the models.

A start only checks it. `db.migrating` loads Alembic, which is slow.
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
    """The database schema does not match this version of Bellhop."""


def upgrade(database: Database, revision: str = "head") -> str | None:
    """Upgrade the schema to `revision` and return the previous revision.

    The upgrade is one transaction under a lock, so several processes can start at once: the first
    migrates, the others wait and find nothing to do.

    Raises:
        SchemaError: this version of Bellhop does not know the database's revision.
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
    """Downgrade the schema to `revision`; `base` removes all of it."""
    from bolt_app.db.migrating import migrate_down

    with database.writing_connection() as connection:
        if not database.is_sqlite:
            _take_time(connection)
        migrate_down(connection, revision)


def require_current(database: Database) -> None:
    """Require that the schema is up to date.

    Raises:
        SchemaError: it is not; the message has the command to run.
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
    """Return the database's revision; None if it was never migrated."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    return revision


def head_revision() -> str:
    """Return the newest revision of this version of Bellhop."""
    return max(_revisions())


def differences(connection: Connection) -> list[object]:
    """Return the differences between the database schema and the models."""
    from bolt_app.db.migrating import compare_with_models

    return compare_with_models(connection)


def _take_time(connection: Connection) -> None:
    """Disable the lock and idle timeouts for this transaction.

    Starting processes wait for the one that migrates, which waits for running ones.
    """
    timeouts = ("lock_timeout", "idle_in_transaction_session_timeout")
    for name in timeouts:
        connection.execute(select(func.set_config(name, "0", True)))


def _refuse_unknown(revision: str | None) -> None:
    if revision is not None and revision not in _revisions():
        raise SchemaError(
            f"The database is at revision {revision} of a newer Bellhop: "
            "run that version, or restore a backup."
        )


@cache
def _revisions() -> frozenset[str]:
    """Return the revisions of the migrations, from the names of their files.

    They are part of the program, and so read once per process.
    """
    return frozenset(path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
