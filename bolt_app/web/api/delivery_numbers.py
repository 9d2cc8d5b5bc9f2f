"""Delivery numbers: a key that sees only some deliveries cannot count the others by them."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256

from bolt_app.credentials.api_keys import ApiKeyRecord
from bolt_app.derived_keys import derive_key

_PURPOSE = "bellhop: numbers of deliveries"
# Below 2**53, so that JavaScript reads them exactly.
_BYTES = 6


class DeliveryNumbers:
    """The numbers of deliveries in answers of the HTTP API."""

    def __init__(self, secret: str) -> None:
        self._key = derive_key(secret, _PURPOSE)

    def shown_to(self, key: ApiKeyRecord) -> Callable[[int], int]:
        """Return the function that maps a delivery's id to the number that a key is shown."""
        return int if key.reads_all else self._number

    def _number(self, delivery_id: int) -> int:
        digest = hmac.digest(self._key, str(delivery_id).encode(), sha256)
        return int.from_bytes(digest[:_BYTES])
