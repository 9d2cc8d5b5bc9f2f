"""A separate process that upgrades a database."""

from __future__ import annotations

from bolt_app.db import Database, schema


def upgrade(url: str, encryption_key: str) -> str | None:
    """Upgrade the schema and return its previous revision."""
    database = Database(url, [encryption_key])
    try:
        return schema.upgrade(database)
    finally:
        database.close()
