"""Cursors of lists: encrypted, because a page may end at another sender's notification."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken

from bolt_app.credentials.sources import Credential
from bolt_app.derived_keys import derive_key


class Cursors:
    """Writes and reads the cursors of one API key."""

    def __init__(self, secret: str, credential: Credential) -> None:
        """Derive a key that is used for nothing else.

        Args:
            secret: `SESSION_SECRET`.
        """
        key = derive_key(secret, f"bellhop: cursors of {credential.name}")
        self._fernet = Fernet(urlsafe_b64encode(key))

    def write(self, notification_id: str) -> str:
        """Return the cursor of the page after a notification."""
        return self._fernet.encrypt(notification_id.encode()).decode().rstrip("=")

    def read(self, cursor: str) -> str:
        """Return the id in a cursor from `write`.

        Raises:
            ValueError: the cursor is invalid.
        """
        try:
            return self._fernet.decrypt(cursor + "=" * (-len(cursor) % 4)).decode()
        except (InvalidToken, ValueError):
            raise ValueError("is not a cursor; use next_cursor of the previous page") from None
