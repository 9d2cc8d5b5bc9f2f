"""Locks of PostgreSQL, for tests of transactions at the same time."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

_IS_WAITED_FOR = text(
    "SELECT EXISTS (SELECT FROM pg_locks"
    " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
)


def is_waited_for(transaction: Session | Connection) -> bool:
    """Whether another transaction waits for one."""
    return bool(transaction.scalar(_IS_WAITED_FOR))
