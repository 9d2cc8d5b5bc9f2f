"""Run in a process of its own: brings a database's schema up to date."""

from __future__ import annotations

from bolt_app.db import Database, schema


def upgrade(url: str, encryption_key: str) -> str | None:
    """Upgrade and return the revision the schema was at before."""
    database = Database(url, [encryption_key])
    try:
        return schema.upgrade(database)
    finally:
        database.close()
