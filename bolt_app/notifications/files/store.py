"""Stored files: rows, chunks of bytes, and the notifications that they belong to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy import update as update_rows

from bolt_app.credentials.sources import Credential, SourceKind, read_default_source
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import ApiKey, Delivery, File, FileChunk, NotificationFile
from bolt_app.notifications.content.states import POSTED_STATES

# A smaller file counts as many bytes against the limits of stored files, so that these limit their
# number too: all are summed at each announcement.
LEAST_BYTES = 16 * 1024
_FILES = select(File.id, File.team_id, File.name, File.alt_text, File.length, File.permalink)
_FILE = _FILES.where(File.id == bindparam("file_id"), File.uploaded_at.is_not(None))
_CHUNK = select(FileChunk.data).where(
    FileChunk.file_id == bindparam("file_id"), FileChunk.number == bindparam("number")
)


@dataclass(frozen=True)
class StoredFile:
    """A file whose bytes are stored.

    Attributes:
        name: as its sender named it, without invisible characters.
        alt_text: the description of a picture.
        length: in bytes.
        permalink: of its copy in Slack; None without a copy.
    """

    id: str
    team_id: str
    name: str = field(repr=False)
    alt_text: str | None = field(repr=False)
    length: int
    permalink: str | None


@dataclass(frozen=True)
class AnnouncedFile:
    """A file that waits for its bytes.

    Attributes:
        source: the name of the API key that announced it.
        length: in bytes.
    """

    source: str
    length: int

    @property
    def credential(self) -> Credential:
        """The API key that announced it."""
        _, key_id = read_default_source(self.source)
        return Credential(SourceKind.API_KEY, int(key_id))


def insert_file(connection: Connection, row: dict[str, Any]) -> None:
    """Insert a file that waits for its bytes."""
    connection.execute(insert(File).values(row))


def sum_unshared(connection: Connection, team_id: str, source: str) -> tuple[int, int]:
    """Return the number and the length of a credential's files that are in no notification yet."""
    is_open = (File.team_id == team_id, File.source == source, File.shared_at.is_(None))
    sums = select(func.count(), func.coalesce(func.sum(File.length), 0)).where(*is_open)
    number, length = connection.execute(sums).one()
    return number, int(length)


def stored_bytes(connection: Connection, team_id: str, sources: Collection[str]) -> tuple[int, int]:
    """Return the bytes that all files of a workspace count, announced ones too.

    Returns: of the files of some credentials, and of all others.
    """
    is_own = is_any_of(File.source, values=sources).label("is_own")
    counted = case((File.length < LEAST_BYTES, LEAST_BYTES), else_=File.length)
    sums = select(is_own, func.sum(counted)).where(File.team_id == team_id).group_by(is_own)
    lengths = {bool(own): int(length) for own, length in connection.execute(sums)}
    return lengths.get(True, 0), lengths.get(False, 0)


def find_announced(
    connection: Connection, upload_hash: str, since: datetime, now: datetime, most_attempts: int
) -> AnnouncedFile | None:
    """Return the file that an upload URL waits for, if it is valid and has attempts left."""
    waiting = select(File.source, File.length).where(*_waits(upload_hash, since, now))
    row = connection.execute(waiting.where(File.upload_attempts < most_attempts)).first()
    return None if row is None else AnnouncedFile(row.source, row.length)


def count_attempt(
    connection: Connection, upload_hash: str, since: datetime, now: datetime, most_attempts: int
) -> bool:
    """Count an attempt at an upload; return False if the URL is not valid or has none left."""
    counted = (
        update_rows(File)
        .where(*_waits(upload_hash, since, now), File.upload_attempts < most_attempts)
        .values(upload_attempts=File.upload_attempts + 1)
    )
    return bool(connection.execute(counted).rowcount)


def take_upload(
    connection: Connection, upload_hash: str, since: datetime, now: datetime
) -> tuple[str, int] | None:
    """End an upload URL; return its file's id and announced length, or None if it is not valid.

    Attempts were counted before: the last one may end here.

    Args:
        since: URLs issued before have expired.
    """
    taken = (
        update_rows(File)
        .where(*_waits(upload_hash, since, now))
        .values(upload_hash=None, uploaded_at=now)
        .returning(File.id, File.length)
    )
    row = connection.execute(taken).first()
    return None if row is None else (row.id, row.length)


def insert_chunk(connection: Connection, file_id: str, number: int, data: bytes) -> None:
    """Store a part of a file's bytes."""
    connection.execute(insert(FileChunk).values(file_id=file_id, number=number, data=data))


def find_file(connection: Connection, file_id: str) -> StoredFile | None:
    """Return a file whose bytes are stored."""
    row = connection.execute(_FILE, {"file_id": file_id}).mappings().first()
    return None if row is None else StoredFile(**row)


def find_ready(
    connection: Connection, team_id: str, sources: Collection[str], ids: Collection[str]
) -> dict[str, StoredFile]:
    """Return the files, among those given, that a source may put into a notification, by id."""
    ready = _FILES.where(*_are_ready(team_id, sources, ids))
    rows = connection.execute(ready).mappings()
    return {row["id"]: StoredFile(**row) for row in rows}


def share_files(
    connection: Connection,
    team_id: str,
    sources: Collection[str],
    ids: Collection[str],
    now: datetime,
) -> bool:
    """Mark files as shared; return whether all of them were ready."""
    shared = update_rows(File).where(*_are_ready(team_id, sources, ids)).values(shared_at=now)
    return bool(connection.execute(shared).rowcount == len(set(ids)))


def link_files(connection: Connection, notification_id: str, ids: Iterable[str]) -> None:
    """Add files, those of them that exist, to a notification."""
    existing = select(literal(notification_id), File.id).where(is_any_of(File.id, values=list(ids)))
    columns = ["notification_id", "file_id"]
    connection.execute(insert(NotificationFile).from_select(columns, existing))


def unlink_replaced(
    connection: Connection, ids: Collection[str], lane_id: int, key: str, by: str
) -> None:
    """Remove files from earlier edits of a message, but not from its first notifications.

    A message may be edited any number of times. Its first notification shows the file at every
    destination, also if the latest edit is cancelled; the latest edit is kept the longest. One that
    was replaced before it was posted is cancelled: then the first that was posted shows the file.

    Args:
        by: the notification of the latest edit.
    """
    linked = (
        select(
            NotificationFile.notification_id,
            func.max(case((Delivery.state.in_(POSTED_STATES), 1), else_=0)).label("is_posted"),
        )
        .join(Delivery, Delivery.notification_id == NotificationFile.notification_id)
        .where(
            is_any_of(NotificationFile.file_id, values=ids),
            NotificationFile.notification_id != by,
            Delivery.lane_id == lane_id,
            Delivery.key == key,
        )
        .group_by(NotificationFile.notification_id)
        .order_by(NotificationFile.notification_id)
    )
    rows = connection.execute(linked).all()
    kept = (*rows[:1], *[row for row in rows if row.is_posted][:1])
    replaced = [row.notification_id for row in rows if row not in kept]
    is_replaced = (
        is_any_of(NotificationFile.notification_id, values=replaced),
        is_any_of(NotificationFile.file_id, values=ids),
    )
    connection.execute(delete(NotificationFile).where(*is_replaced))


def notifications_of(connection: Connection, file_id: str) -> Sequence[str]:
    """Return the ids of a file's notifications, the newest first."""
    column = NotificationFile.notification_id
    linked = select(column).where(NotificationFile.file_id == file_id)
    return connection.scalars(linked.order_by(column.desc())).all()


def read_chunk(connection: Connection, file_id: str, number: int) -> bytes | None:
    """Return a part of a file's bytes; None after the last one."""
    return connection.scalar(_CHUNK, {"file_id": file_id, "number": number})


def set_permalink(connection: Connection, file_id: str, permalink: str) -> None:
    """Record the permalink of a file's copy in Slack."""
    connection.execute(update_rows(File).where(File.id == file_id).values(permalink=permalink))


def delete_unused(connection: Connection, before: datetime, most: int) -> int:
    """Delete files that are in no notification, and were shared or announced before a moment.

    Returns: how many were deleted, up to `most`.
    """
    is_linked = exists().where(NotificationFile.file_id == File.id)
    # A file that is being shared is not deleted: its row changes with its first notification.
    is_unused = func.coalesce(File.shared_at, File.created_at) < before, ~is_linked
    ids = connection.scalars(select(File.id).where(*is_unused).limit(most)).all()
    return connection.execute(
        delete(File).where(is_any_of(File.id, values=ids), *is_unused)
    ).rowcount


def delete_files_of(connection: Connection, team_id: str) -> None:
    """Delete all files of a workspace."""
    connection.execute(delete(File).where(File.team_id == team_id))


def _waits(upload_hash: str, since: datetime, now: datetime) -> tuple[ColumnElement[bool], ...]:
    has_valid_key = exists().where(
        ApiKey.team_id == File.team_id,
        f"{SourceKind.API_KEY}:" + cast(ApiKey.id, String) == File.source,
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
    )
    return File.upload_hash == upload_hash, File.created_at > since, has_valid_key


def _are_ready(
    team_id: str, sources: Collection[str], ids: Collection[str]
) -> tuple[ColumnElement[bool], ...]:
    return (
        is_any_of(File.id, values=ids),
        File.team_id == team_id,
        is_any_of(File.source, values=sources),
        File.uploaded_at.is_not(None),
        File.shared_at.is_(None),
    )
