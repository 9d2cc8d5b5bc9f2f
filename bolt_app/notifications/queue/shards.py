"""Shards: the units in which workers divide the workspaces among themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from bolt_app.db.models import SHARD_COUNT


def shard_of(team_id: str) -> int:
    """Return the number of a workspace's shard, from 0 to SHARD_COUNT - 1."""
    return crc32(team_id.encode()) % SHARD_COUNT


@dataclass(frozen=True)
class OwnedShard:
    """A shard, from its acquisition by this process until it is lost or released.

    Attributes:
        token: random, written into the shard's row at the acquisition. Work begun under an earlier
            acquisition, by this process or another, has another token.
    """

    number: int
    token: str = field(repr=False)
