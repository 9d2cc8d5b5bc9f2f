"""Tables of the delivery engine that are not about single notifications."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from bolt_app.db.models.base import Base

# Workspaces are divided into so many shards. Workers of different versions must agree on it.
SHARD_COUNT = 64


class Shard(Base):
    """The fencing token of one shard of workspaces, written by each acquisition.

    The rows are made by the first worker. Locks decide who owns a shard, not this table.
    """

    __tablename__ = "shards"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[str] = mapped_column(String(32))
