"""Checks of Amazon SNS: the signature of a message, and the confirmation of a subscription.

Both fetch a URL from the body: only URLs of SNS, over https and without redirects, and to confirm a
subscription only after its signature is verified.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from bolt_app.senders.aws_sns.messages import (
    SUBSCRIPTION,
    is_certificate_address,
    is_signed,
    is_sns_address,
)
from bolt_app.senders.values import text

NAME = "aws-sns"
# Returns the status and the beginning of the body of the answer.
Fetch = Callable[[str], tuple[int, bytes]]
_MOST_CERTIFICATES = 50


class SnsUnreachableError(Exception):
    """SNS did not answer; the request can be retried."""


class SnsChecks:
    """Verifies messages of SNS and confirms its subscriptions."""

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch
        self._lock = Lock()
        self._certificates: dict[str, bytes] = {}

    def verify(self, body: Any) -> bool:
        """Return whether SNS signed a message.

        Raises:
            SnsUnreachableError: its certificate could not be fetched.
        """
        address = text(body, "SigningCertURL")
        if not isinstance(body, dict) or not is_certificate_address(address):
            return False
        return is_signed(body, self._certificate(address))

    def confirm(self, body: Any) -> None:
        """Confirm a subscription if a verified message requests it.

        Raises:
            SnsUnreachableError: SNS did not accept the confirmation.
        """
        address = text(body, "SubscribeURL")
        if text(body, "Type") == SUBSCRIPTION and is_sns_address(address):
            self._get(address)

    def _certificate(self, address: str) -> bytes:
        with self._lock:
            known = self._certificates.get(address)
        if known is not None:
            return known
        found = self._get(address)
        with self._lock:
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[address] = found
        return found

    def _get(self, address: str) -> bytes:
        try:
            status, body = self.fetch(address)
        except (OSError, ValueError, TimeoutError) as error:
            raise SnsUnreachableError from error
        if status != 200:
            raise SnsUnreachableError
        return body
