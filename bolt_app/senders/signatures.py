"""Signatures that several senders share: an HMAC of the body, or a secret in a header."""

from __future__ import annotations

import hmac
import re
from datetime import datetime, timedelta

from bolt_app.senders.known import Headers, Signature

# Of a message whose signature covers its time: an older one may be a replay.
MAX_AGE = timedelta(minutes=5)
_TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)
_MOST_SIGNATURES = 10


def hmac_of_body(
    header: str, prefix: str = "", *, algorithm: str = "sha256", is_chosen_here: bool = True
) -> Signature:
    """Return the signature of senders with a hexadecimal HMAC of the body in a header."""

    def verify(secret: str, headers: Headers, body: bytes, _now: datetime) -> bool:
        given = headers.get(header.lower(), "").removeprefix(prefix)
        return is_hmac(secret, body, given, algorithm)

    return Signature(header, verify, is_chosen_here)


def versioned_hmac(header: str, *, is_chosen_here: bool = True) -> Signature:
    """Return the signature of senders with `v1=…,v1=…` in a header.

    One of them must match: there are two while the sender replaces its secret.
    """

    def verify(secret: str, headers: Headers, body: bytes, _now: datetime) -> bool:
        given = headers.get(header.lower(), "").split(",")[:_MOST_SIGNATURES]
        found = (one.strip().partition("=") for one in given)
        return any(is_hmac(secret, body, value) for version, _, value in found if version == "v1")

    return Signature(header, verify, is_chosen_here)


def secret_in_header(header: str) -> Signature:
    """Return the signature of senders with the secret itself in a header."""

    def verify(secret: str, headers: Headers, body: bytes, _now: datetime) -> bool:
        return is_same(secret, headers.get(header.lower(), ""))

    return Signature(header, verify)


def is_hmac(secret: str, signed: bytes, given: str, algorithm: str = "sha256") -> bool:
    """Whether `given` is the hexadecimal HMAC of the signed bytes."""
    expected = hmac.new(secret.encode(), signed, algorithm).hexdigest()
    return is_same(expected, given.strip().lower())


def is_recent(timestamp: str, now: datetime) -> bool:
    """Whether a signed Unix timestamp is at most `MAX_AGE` before or after a moment."""
    if not _TIMESTAMP.fullmatch(timestamp):
        return False
    return abs(now.timestamp() - int(timestamp)) <= MAX_AGE.total_seconds()


def is_same(expected: str, given: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
