"""Generated secrets: shown once, stored as hashes."""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "bh_"


def new_api_key() -> str:
    """Return a new API key."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_webhook_secret() -> str:
    """Return a new secret: part of a webhook's URL, or for its sender to sign with."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return the stored hash of a secret.

    A plain SHA-256 is enough: 256 random bits cannot be guessed.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
