"""Advisory locks of shards and workers on PostgreSQL, and the queries that show them.

The first half of a lock's key identifies the schema, so that several installations in one database
do not share locks; the second half is the number of the shard. All workers share one more lock,
whose holders are counted.
"""

from __future__ import annotations

from typing import LiteralString

from bolt_app.db.models import SHARD_COUNT

# "bell": keeps the keys away from those of other programs, which often begin with small numbers.
_NAMESPACE: LiteralString = "1650814060"
PRESENCE = SHARD_COUNT

# Unsigned, as `pg_locks` shows it; the lock functions take it as a signed number.
LOCK_CLASS: LiteralString = (
    f"SELECT oid::bigint # {_NAMESPACE} FROM pg_namespace WHERE nspname = current_schema()"  # noqa: S608
)
# Keys and sessions of the locks of one class
# (https://www.postgresql.org/docs/current/view-pg-locks.html).
LOCKS: LiteralString = """
    SELECT objid::bigint, pid FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = %s
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def as_signed(lock_class: int) -> int:
    """Return an unsigned number of 32 bits as the signed one with the same bits."""
    return lock_class - (1 << 32) if lock_class >= 1 << 31 else lock_class
