"""Encryption of secrets at rest: the first key encrypts, every key decrypts."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Dialect, Engine, Text
from sqlalchemy.types import TypeDecorator


class DecryptionError(Exception):
    """A stored secret cannot be read with any of the configured keys."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be read with any key in ENCRYPTION_KEYS: put back the key that "
            "encrypted it, after the newest key."
        )


class Cipher:
    """Encrypts with the first key and decrypts with any (`cryptography`'s MultiFernet)."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, secret: str) -> str:
        """Return `secret` as a Fernet token."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """Return the secret in a Fernet token.

        Raises:
            DecryptionError: no key matches, or the stored value is damaged.
        """
        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            raise DecryptionError from None


_ciphers: WeakKeyDictionary[Dialect, Cipher] = WeakKeyDictionary()


def use_cipher(engine: Engine, cipher: Cipher) -> None:
    """Use `cipher` for every `EncryptedText` column accessed through `engine`."""
    _ciphers[engine.dialect] = cipher


class EncryptedText(TypeDecorator[str]):
    """A text column of any length that is encrypted in the database and plain in Python."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _ciphers[dialect].encrypt(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _ciphers[dialect].decrypt(value)
