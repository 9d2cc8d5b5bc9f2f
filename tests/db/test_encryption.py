"""Encryption: the first key encrypts, every key decrypts, a wrong key is reported."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, text

from bolt_app.db import Cipher, Database, DecryptionError
from bolt_app.db.models import TokenRevocation
from tests.conftest import FakeClock

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.mark.parametrize("secret", ["", "xoxb-1", "ü€😀", "x" * 100_000])
def test_a_secret_of_any_length_is_preserved(secret: str) -> None:
    cipher = Cipher([NEW])

    assert cipher.decrypt(cipher.encrypt(secret)) == secret


def test_the_first_key_writes_and_every_key_reads() -> None:
    before = Cipher([OLD]).encrypt("xoxb-before")
    both = Cipher([NEW, OLD])

    assert both.decrypt(before) == "xoxb-before"
    assert Cipher([NEW]).decrypt(both.encrypt("xoxb-after")) == "xoxb-after"


def test_a_wrong_key_is_an_error_with_a_remedy() -> None:
    stored = Cipher([OLD]).encrypt("xoxb-1")

    with pytest.raises(DecryptionError, match="ENCRYPTION_KEYS") as caught:
        Cipher([OTHER]).decrypt(stored)

    assert stored not in str(caught.value)


def test_a_damaged_secret_is_an_error() -> None:
    cipher = Cipher([NEW])
    stored = cipher.encrypt("xoxb-1")

    with pytest.raises(DecryptionError):
        cipher.decrypt(stored[:-6] + "AAAAAA")


def test_the_column_holds_no_plain_text(database: Database, clock: FakeClock) -> None:
    with database.writing() as session:
        session.add(TokenRevocation(token="xoxp-secret", created_at=clock()))

    with database.engine.connect() as connection:
        raw = connection.execute(text("SELECT token FROM token_revocations")).scalar_one()
    with database.reading() as session:
        read = session.scalars(select(TokenRevocation.token)).one()

    assert "xoxp-secret" not in raw
    assert read == "xoxp-secret"


def test_each_database_uses_its_own_keys(
    database: Database, database_url: str, clock: FakeClock
) -> None:
    with database.writing() as session:
        session.add(TokenRevocation(token="xoxp-secret", created_at=clock()))
    stranger = Database(database_url, [OTHER])
    try:
        with stranger.reading() as session, pytest.raises(DecryptionError):
            session.scalars(select(TokenRevocation.token)).one()
    finally:
        stranger.close()
