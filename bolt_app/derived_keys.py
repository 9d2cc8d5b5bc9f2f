"""Keys for single purposes, derived from `SESSION_SECRET`."""

from __future__ import annotations

import hmac
from hashlib import sha256


def derive_key(secret: str, purpose: str) -> bytes:
    """Return a key of 32 bytes that tells nothing of the secret or of keys for other purposes."""
    return hmac.digest(secret.encode("utf-8", "surrogateescape"), purpose.encode(), sha256)
