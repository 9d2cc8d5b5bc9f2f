"""Secrets of our own making: shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "bh_"


def new_api_key() -> str:
    """Return the text of a new API key."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_webhook_secret() -> str:
    """Return the secret part of a hook's address."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return what is stored of a secret.

    A plain SHA-256 is enough: nobody can guess 256 random bits, however fast they try.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
