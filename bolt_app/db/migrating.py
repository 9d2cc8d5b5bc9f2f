"""Schema changes with Alembic, which is slow to load and so imported only for them."""

from __future__ import annotations

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from bolt_app.db.models import Base
from bolt_app.db.schema import MIGRATIONS


def migrate_up(connection: Connection, revision: str) -> None:
    """Run the migrations up to a revision."""
    command.upgrade(_config(connection), revision)


def migrate_down(connection: Connection, revision: str) -> None:
    """Run the migrations down to a revision."""
    command.downgrade(_config(connection), revision)


def compare_with_models(connection: Connection) -> list[object]:
    """Return the differences between the schema and the models."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
