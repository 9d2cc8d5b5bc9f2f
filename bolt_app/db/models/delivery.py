"""Tables of the delivery engine beside the queue of deliveries."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base

# The number of shards of workspaces. Workers of different versions must agree on it.
SHARD_COUNT = 64


class Shard(Base):
    """The fencing token of one shard of workspaces, written by each acquisition.

    The first worker creates the rows. Locks, not this table, decide who owns a shard.
    """

    __tablename__ = "shards"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[str] = mapped_column(String(32))
