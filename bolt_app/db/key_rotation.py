"""Encrypt every stored secret anew, after a new key was put first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, Text, func, select, type_coerce, update
from sqlalchemy.orm import Session

from bolt_app.db.encryption import Cipher, DecryptionError, EncryptedText
from bolt_app.db.engine import Database
from bolt_app.db.models import Base

BATCH_SIZE = 200


class UnreadableSecretError(DecryptionError):
    """A stored secret cannot be read; the text says where it is."""

    def __init__(self, table: str, row: object) -> None:
        super().__init__()
        self.args = (f"{table}, row {row}: {self.args[0]}",)


@dataclass(frozen=True)
class _Secrets:
    """The encrypted columns of a table, and the column that tells its rows apart."""

    key: Column[Any]
    columns: tuple[Column[Any], ...]

    @property
    def table(self) -> Table:
        return self.key.table


def rotate_keys(
    database: Database,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Encrypt every `EncryptedText` value with the first key and return how many there were.

    Works in batches, each a transaction of its own, beside running processes: a value that changes
    meanwhile was written with the first key already and is left alone. Can be repeated.

    Args:
        progress: told the number of rows done and the number of rows there are.

    Raises:
        UnreadableSecretError: no key reads a value; the batches before it stand.
    """
    places = list(_places())
    total = sum(_count(database, place) for place in places)
    rows = secrets = 0
    for place in places:
        for batch in _batches(database, place, batch_size):
            with database.writing() as session:
                secrets += sum(_rotate(session, database.cipher, place, row) for row in batch)
            rows += len(batch)
            progress(rows, total)
    return secrets


def _places() -> Iterator[_Secrets]:
    for table in Base.metadata.sorted_tables:
        columns = tuple(c for c in table.columns if isinstance(c.type, EncryptedText))
        if columns:
            (key,) = table.primary_key.columns
            yield _Secrets(key, columns)


def _count(database: Database, place: _Secrets) -> int:
    with database.reading() as session:
        return session.scalars(select(func.count()).select_from(place.table)).one()


def _batches(database: Database, place: _Secrets, size: int) -> Iterator[list[Any]]:
    # The values are read as they are stored, without decrypting them.
    stored = [type_coerce(column, Text) for column in place.columns]
    statement = select(place.key, *stored).order_by(place.key).limit(size)
    after: Any = None
    while True:
        page = statement if after is None else statement.where(place.key > after)
        with database.reading() as session:
            batch = list(session.execute(page))
        if not batch:
            return
        yield batch
        after = batch[-1][0]


def _rotate(session: Session, cipher: Cipher, place: _Secrets, row: Any) -> int:
    changed = 0
    for column, old in zip(place.columns, row[1:], strict=True):
        if old is None:
            continue
        try:
            new = cipher.encrypt(cipher.decrypt(old))
        except DecryptionError:
            raise UnreadableSecretError(place.table.name, row[0]) from None
        session.execute(
            update(place.table)
            .where(place.key == row[0], type_coerce(column, Text) == old)
            .values({column: type_coerce(new, Text)})
        )
        changed += 1
    return changed
