"""Ownership on SQLite: all shards belong to the process that has locked the owner file.

The lock lives as long as its process. A suspended process keeps it: deliveries stop until it
continues or is killed, and none is made twice; `unowned_seconds` shows this to other processes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import delete, insert

from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.db.models import SHARD_COUNT, Shard
from bolt_app.delays import Delays
from bolt_app.logs import describe_error
from bolt_app.notifications.delivery.errors import OwnershipError
from bolt_app.notifications.delivery.file_systems import refuse_network_folder
from bolt_app.notifications.delivery.owner_file import OwnerFile, last_sign_of_life, owner_path
from bolt_app.notifications.delivery.ownership import UNCHANGED, Changes, Ownership
from bolt_app.notifications.queue.shards import OwnedShard

logger = logging.getLogger(__name__)


class SQLiteOwnership(Ownership):
    """All shards or none."""

    def __init__(self, database: Database, delays: Delays, *, now: float) -> None:
        """Create it without opening the file; the first step opens it.

        Args:
            now: seconds on the clock that `step` gets.
        """
        self._database = database
        self._path = owner_path(Path(str(database.engine.url.database)))
        self._delays = delays
        self._file: OwnerFile | None = None
        self._owned: dict[int, OwnedShard] = {}
        self._owner_seen_at = now
        self._step_at = float("-inf")
        self._sign_of_life = last_sign_of_life(self._path)

    @property
    def owned(self) -> Mapping[int, OwnedShard]:
        """All shards by number, or nothing."""
        return self._owned

    @property
    def next_at(self) -> float:
        """When `step` is due."""
        return self._step_at

    def unowned_seconds(self, now: float) -> float:
        """Return how long ago an owner last gave a sign of life."""
        return now - self._owner_seen_at

    async def step(self, now: float) -> Changes:
        """Give a sign of life as the owner, or try to become the owner."""
        if now < self.next_at:
            return UNCHANGED
        self._step_at = now + self._delays.owner_poll
        lost = self._end() if self._file is not None and not self._is_valid() else ()
        gained = () if self._owned else await self._acquire()
        if self._owned and self._file is not None:
            self._file.show_life()
        self._look_for_owner(now)
        return Changes(gained, lost)

    async def confirm(self, shard: OwnedShard) -> bool:
        """Return whether the lock is held; the kernel releases it only when the process ends."""
        if not self._is_valid():
            self._step_at = float("-inf")
            return False
        return self._owned.get(shard.number) == shard

    async def leave(self) -> None:
        """Release the lock."""
        self._end()

    def _look_for_owner(self, now: float) -> None:
        """Read the last sign of life; its age is measured by this process's clock."""
        before, self._sign_of_life = self._sign_of_life, last_sign_of_life(self._path)
        if self._sign_of_life != before:
            self._owner_seen_at = now

    def _is_valid(self) -> bool:
        return self._file is None or self._file.is_valid()

    def _end(self) -> tuple[OwnedShard, ...]:
        lost = tuple(self._owned.values())
        self._owned.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        if lost:
            logger.info("shards released", extra={"shards": len(lost)})
        return lost

    async def _acquire(self) -> tuple[OwnedShard, ...]:
        self._file = file = self._file or self._open()
        # The file may have been replaced before it was locked; the next step looks again.
        if not file.lock() or not file.is_valid():
            return ()
        token = secrets.token_hex(16)
        try:
            await asyncio.to_thread(self._write_tokens, file, token)
        except DATABASE_UNAVAILABLE as error:
            logger.warning("no shards gained", extra={"error": describe_error(error)})
            return ()
        if not file.is_locked:
            return ()
        gained = tuple(OwnedShard(number, token) for number in range(SHARD_COUNT))
        self._owned.update((shard.number, shard) for shard in gained)
        logger.info("shards gained", extra={"shards": len(gained)})
        return gained

    def _open(self) -> OwnerFile:
        refuse_network_folder(self._path.parent)
        try:
            return OwnerFile(self._path)
        except OSError as error:
            raise OwnershipError(
                f"{self._path} cannot be opened ({error.strerror}): make its folder writable."
            ) from error

    def _write_tokens(self, file: OwnerFile, token: str) -> None:
        with self._database.writing_connection() as connection:
            # The worker may have left while this waited, and another one may have begun.
            if not file.is_locked:
                return
            connection.execute(delete(Shard))
            rows = [{"number": number, "token": token} for number in range(SHARD_COUNT)]
            connection.execute(insert(Shard), rows)
