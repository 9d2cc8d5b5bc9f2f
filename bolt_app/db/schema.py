"""The database's schema: bring it up to date, compare it with the models."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text

from bolt_app.db.engine import Database
from bolt_app.db.models import Base

MIGRATIONS = Path(__file__).parent / "migrations"
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
        command.upgrade(_config(connection), revision)
        return before


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to `revision`, or to nothing with `base`."""
    with database.writing_connection() as connection:
        if not database.is_sqlite:
            _take_time(connection)
        command.downgrade(_config(connection), revision)


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
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """Return the newest revision this version of Bellhop knows."""
    return str(_scripts().get_current_head())


def differences(connection: Connection) -> list[object]:
    """Return how the database's schema differs from the models; empty when it does not."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def _take_time(connection: Connection) -> None:
    """Let this transaction wait for locks and pause between statements as long as it takes.

    Processes that start together wait for the one that migrates, which waits for those at work.
    """
    timeouts = ("lock_timeout", "idle_in_transaction_session_timeout")
    for name in timeouts:
        connection.execute(select(func.set_config(name, "0", True)))


def _refuse_unknown(revision: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaError(
            f"The database is at revision {revision}, which a newer Bellhop made: "
            "run that version, or restore a backup."
        )


@cache
def _scripts() -> ScriptDirectory:
    """Return the migrations, which are part of the program: read once in a process."""
    return ScriptDirectory(str(MIGRATIONS))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
