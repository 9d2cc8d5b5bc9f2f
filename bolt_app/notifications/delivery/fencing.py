"""Fencing: a begin counts only under the token of the latest acquisition.

Locks decide the owner, and tokens protect the rows from an owner that has not noticed its loss:
acquiring a shard writes a random token into its row, and every begin compares it in its own
transaction. Locking the row for share makes an acquisition wait for begins that are not committed.
"""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from bolt_app.db.models import Shard
from bolt_app.notifications.delivery.shards import OwnedShard


class NotOwnerError(Exception):
    """Another acquisition has replaced the token: nothing may begin under the old one."""


def require_token(session: Session | Connection, shard: OwnedShard) -> None:
    """Make sure, until the end of the transaction, that the acquisition is the latest.

    Call it first in the transaction of a begin, shards in the order of their numbers.

    Raises:
        NotOwnerError: it is not.
    """
    current = (
        select(Shard.number)
        .where(Shard.number == shard.number, Shard.token == shard.token)
        .with_for_update(read=True)
    )
    if session.execute(current).first() is None:
        raise NotOwnerError
