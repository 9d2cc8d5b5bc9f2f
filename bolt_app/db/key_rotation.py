"""Key rotation: every stored secret is encrypted again with the first key."""

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
    """A stored secret cannot be read; the message names its row."""

    def __init__(self, table: str, row: object) -> None:
        super().__init__()
        self.args = (f"{table}, row {row}: {self.args[0]}",)


@dataclass(frozen=True)
class _Secrets:
    """The encrypted columns of a table, and its primary key."""

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

    Works in batches, each in a separate transaction, while other processes run: a value that
    changes in the meantime is already encrypted with the first key and is skipped. Can be repeated.

    Args:
        progress: called with the number of finished rows and the total.

    Raises:
        UnreadableSecretError: no key decrypts a value; earlier batches are kept.
    """
    tables = list(_tables())
    total = sum(_count(database, table) for table in tables)
    rows = secrets = 0
    for table in tables:
        for batch in _batches(database, table, batch_size):
            with database.writing() as session:
                secrets += sum(_rotate(session, database.cipher, table, row) for row in batch)
            rows += len(batch)
            progress(rows, total)
    return secrets


def _tables() -> Iterator[_Secrets]:
    for table in Base.metadata.sorted_tables:
        columns = tuple(c for c in table.columns if isinstance(c.type, EncryptedText))
        if columns:
            (key,) = table.primary_key.columns
            yield _Secrets(key, columns)


def _count(database: Database, secrets: _Secrets) -> int:
    with database.reading() as session:
        return session.scalars(select(func.count()).select_from(secrets.table)).one()


def _batches(database: Database, secrets: _Secrets, size: int) -> Iterator[list[Any]]:
    # Reads the stored values without decrypting them.
    stored = [type_coerce(column, Text) for column in secrets.columns]
    statement = select(secrets.key, *stored).order_by(secrets.key).limit(size)
    after: Any = None
    while True:
        page = statement if after is None else statement.where(secrets.key > after)
        with database.reading() as session:
            batch = list(session.execute(page))
        if not batch:
            return
        yield batch
        after = batch[-1][0]


def _rotate(session: Session, cipher: Cipher, secrets: _Secrets, row: Any) -> int:
    changed = 0
    for column, old in zip(secrets.columns, row[1:], strict=True):
        if old is None:
            continue
        try:
            new = cipher.encrypt(cipher.decrypt(old))
        except DecryptionError:
            raise UnreadableSecretError(secrets.table.name, row[0]) from None
        session.execute(
            update(secrets.table)
            .where(secrets.key == row[0], type_coerce(column, Text) == old)
            .values({column: type_coerce(new, Text)})
        )
        changed += 1
    return changed
