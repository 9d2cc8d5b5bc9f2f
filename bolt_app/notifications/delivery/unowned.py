"""The number of shards without an owner, which any process can read from the database."""

from __future__ import annotations

import time
from pathlib import Path

from bolt_app.db import Database
from bolt_app.db.models import SHARD_COUNT
from bolt_app.notifications.delivery.owner_file import last_sign_of_life, owner_path
from bolt_app.notifications.delivery.shard_locks import LOCK_CLASS, LOCKS


def count_unowned(database: Database, silence_seconds: float) -> int:
    """Return how many shards have no owner now.

    Args:
        silence_seconds: SQLite's owner, which cannot be replaced while its process exists, does not
            count after this time without a sign of life.

    Raises:
        DATABASE_UNAVAILABLE: the database does not answer.
    """
    if database.is_sqlite:
        path = owner_path(Path(str(database.engine.url.database)))
        return 0 if time.time() - last_sign_of_life(path) < silence_seconds else SHARD_COUNT
    with database.reading_connection() as connection:
        lock_class = connection.exec_driver_sql(LOCK_CLASS).scalar_one()
        rows = connection.exec_driver_sql(LOCKS, (lock_class,))
        return SHARD_COUNT - len({number for number, _pid in rows if number < SHARD_COUNT})
