"""Files: uploads into the database, reads of their bytes, and their deletion.

An API key announces a file, sends its bytes to a secret URL, and then puts it into notifications. A
file without a notification is deleted: an hour after it was announced, or after its last
notification was deleted.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO

from sqlalchemy import Connection

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.limits import Charge, RevokedError, SenderLimits
from bolt_app.credentials.records import hold_key
from bolt_app.credentials.secrets import hash_of
from bolt_app.credentials.sources import Credential, credentials_of, sources_of
from bolt_app.db import Database
from bolt_app.fair_limit import GREED
from bolt_app.notifications.files.errors import (
    FileTooLargeError,
    FileUnavailableError,
    StorageFullError,
    TooManyUploadsError,
    UnknownUploadError,
    WrongLengthError,
)
from bolt_app.notifications.files.store import (
    LEAST_BYTES,
    AnnouncedFile,
    StoredFile,
    count_attempt,
    delete_unused,
    find_announced,
    find_file,
    find_ready,
    insert_chunk,
    insert_file,
    notifications_of,
    read_chunk,
    set_permalink,
    stored_bytes,
    sum_unshared,
    take_upload,
)
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.workspaces.client import NotInstalledError

UPLOADS_PATH = "/uploads/"
UPLOAD_LIFETIME = timedelta(minutes=15)
# An announcement is charged to its sender, and attempts at its upload are not.
UPLOAD_ATTEMPTS = 5
UNUSED_LIFETIME = timedelta(hours=1)
# Files of one API key that are in no notification yet.
OPEN_UPLOADS = 100
CHUNK_BYTES = 256 * 1024
_DELETED_AT_ONCE = 50
# In the form of Slack's ids (https://docs.slack.dev/reference/objects/file-object).
_ID_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_LENGTH = 16
_ID = re.compile(f"F[{_ID_CHARACTERS}]{{{_ID_LENGTH}}}")


@dataclass(frozen=True)
class FileLimits:
    """Limits in bytes: of one file, and of all files of a workspace together."""

    file: int
    workspace: int

    @property
    def unshared(self) -> int:
        """The limit of one API key's files that are in no notification yet.

        They are stored for up to an hour: without it, one key could use up the workspace's limit.
        """
        return max(self.file, self.workspace // 4)

    def stored(self, by_others: int) -> int:
        """Return the limit of one source's files, shared ones included.

        They are stored for as long as their notifications: without it, one source could leave
        nothing to the others for months. It is a fair share (`fair_limit.py`), or one file.
        """
        return max(self.file, (self.workspace - by_others) * GREED // (GREED + 1))


@dataclass(frozen=True)
class OpenedUpload:
    """An announced file, and the URL that takes its bytes once."""

    file_id: str
    url: str = field(repr=False)


class Files:
    """Files of notifications."""

    def __init__(
        self,
        database: Database,
        public_url: str,
        limits: FileLimits,
        sender_limits: SenderLimits,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._public_url = public_url
        self._limits = limits
        self._sender_limits = sender_limits
        self._clock = clock

    def open_upload(
        self,
        team_id: str,
        credential: Credential,
        name: str,
        length: int,
        alt_text: str | None = None,
    ) -> OpenedUpload:
        """Announce a file.

        Args:
            credential: charged for the request.
            length: in bytes; it counts against the workspace's limit from now on.

        Raises:
            FileTooLargeError, StorageFullError, TooManyUploadsError: a limit is exceeded.
            RevokedError, LimitError, NotInstalledError: see `SenderLimits.charge`.
        """
        if length > self._limits.file:
            raise FileTooLargeError
        file_id, secret, now = new_file_id(), secrets.token_urlsafe(32), self._clock()
        source = credential.name
        row = {
            "id": file_id,
            "team_id": team_id,
            "source": source,
            "name": name,
            "alt_text": alt_text,
            "length": length,
            "upload_hash": hash_of(secret),
            "created_at": now,
        }
        counting = self._sender_limits.counting_rejections(credential)
        with counting, self._database.writing_connection() as connection:
            charges = [Charge(credential, requests=1)]
            self._sender_limits.charge(connection, charges, now, checks_installation=False)
            # Locks the workspace, so that no other upload is announced between check and insert.
            begin_change(connection, [team_id])
            self._sender_limits.require_installed(connection, team_id)
            own, by_others = stored_bytes(connection, team_id, _same(connection, team_id, source))
            counted = max(length, LEAST_BYTES)
            if own + by_others + counted > self._limits.workspace:
                raise StorageFullError
            if own + counted > self._limits.stored(by_others):
                raise StorageFullError
            number, unshared = sum_unshared(connection, team_id, source)
            if number >= OPEN_UPLOADS or unshared + length > self._limits.unshared:
                raise TooManyUploadsError
            insert_file(connection, row)
        return OpenedUpload(file_id, f"{self._public_url}{UPLOADS_PATH}{secret}")

    def find_announced(self, secret: str) -> AnnouncedFile:
        """Return the file that an upload URL waits for.

        Raises:
            UnknownUploadError: the URL is unknown, used or expired, or has no attempts left, or its
                API key is revoked or has expired.
        """
        now = self._clock()
        with self._database.reading_connection() as connection:
            announced = find_announced(
                connection, hash_of(secret), now - UPLOAD_LIFETIME, now, UPLOAD_ATTEMPTS
            )
        if announced is None:
            raise UnknownUploadError
        return announced

    def count_attempt(self, secret: str) -> None:
        """Count an attempt at an upload before its bytes are read.

        So attempts count that end in any other way than with a wrong length, and those that run at
        the same time, in whatever process.

        Raises:
            UnknownUploadError: as `find_announced`.
        """
        now = self._clock()
        with self._database.writing_connection() as connection:
            if not count_attempt(
                connection, hash_of(secret), now - UPLOAD_LIFETIME, now, UPLOAD_ATTEMPTS
            ):
                raise UnknownUploadError

    def receive(self, secret: str, announced: AnnouncedFile, data: IO[bytes]) -> None:
        """Store the bytes of a file, all or none.

        Args:
            announced: what was found before the bytes were received.
            data: read to its end in one transaction, so it must not wait for a client.

        Raises:
            UnknownUploadError: the upload URL is unknown, used or expired, its key is revoked or
                has expired, or Bellhop was uninstalled.
            WrongLengthError: they are not as many as announced.
        """
        now = self._clock()
        with self._database.writing_connection() as connection:
            # An uninstall locks the key before the file, too.
            hold_key(connection, announced.credential.id)
            taken = take_upload(connection, hash_of(secret), now - UPLOAD_LIFETIME, now)
            if taken is None:
                raise UnknownUploadError
            file_id, length = taken
            if _insert_chunks(connection, file_id, data) != length:
                raise WrongLengthError
            try:
                # Checks the key again, at no cost. Last, because its other requests wait then.
                self._sender_limits.charge(connection, [Charge(announced.credential)], now)
            except (RevokedError, NotInstalledError):
                raise UnknownUploadError from None

    def find_ready(self, team_id: str, source: str, ids: Collection[str]) -> dict[str, StoredFile]:
        """Return files that a source can put into notifications, by id.

        Raises:
            FileUnavailableError: one of them is unknown, another source's, not uploaded, or already
                in a notification.
        """
        with self._database.reading_connection() as connection:
            found = find_ready(
                connection, team_id, credentials_of(connection, team_id, source), ids
            )
        if len(found) < len(set(ids)):
            raise FileUnavailableError
        return found

    def find(self, file_id: str) -> StoredFile | None:
        """Return a file whose bytes are stored, in whatever workspace."""
        with self._database.reading_connection() as connection:
            return find_file(connection, file_id)

    def notifications_of(self, file_id: str) -> Sequence[str]:
        """Return the ids of the notifications that a file belongs to, the newest first."""
        with self._database.reading_connection() as connection:
            return notifications_of(connection, file_id)

    def chunk(self, file_id: str, number: int) -> bytes | None:
        """Return the part of a file with a number, counted from 0; None after the last one."""
        with self._database.reading_connection() as connection:
            return read_chunk(connection, file_id, number)

    def chunks(self, file_id: str) -> Iterator[bytes]:
        """Yield the parts of a file, one at a time in memory."""
        number = 0
        while (data := self.chunk(file_id, number)) is not None:
            yield data
            number += 1

    def record_permalink(self, file_id: str, permalink: str) -> None:
        """Record the permalink of a file's copy in Slack."""
        with self._database.writing_connection() as connection:
            set_permalink(connection, file_id, permalink)

    def delete_unused(self) -> int:
        """Delete files without a notification, in short transactions; return their number."""
        before, deleted = self._clock() - UNUSED_LIFETIME, 0
        while True:
            with self._database.writing_connection() as connection:
                batch = delete_unused(connection, before, _DELETED_AT_ONCE)
            deleted += batch
            if batch < _DELETED_AT_ONCE:
                return deleted


def new_file_id() -> str:
    """Return a new id, which cannot be guessed."""
    return "F" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))


def is_file_id(value: str) -> bool:
    """Whether `value` has the form of a file's id."""
    return _ID.fullmatch(value) is not None


def _same(connection: Connection, team_id: str, credential: str) -> frozenset[str]:
    """Return the credentials with the source of one, itself included."""
    source = sources_of(connection, team_id).get(credential, credential)
    return credentials_of(connection, team_id, source) | {credential}


def _insert_chunks(connection: Connection, file_id: str, data: IO[bytes]) -> int:
    """Store bytes; return their number."""
    length, number = 0, 0
    while chunk := data.read(CHUNK_BYTES):
        insert_chunk(connection, file_id, number, chunk)
        length, number = length + len(chunk), number + 1
    return length
