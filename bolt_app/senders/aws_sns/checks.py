"""Checks of Amazon SNS: the signature and topic of a message, and confirmations of subscriptions.

Both fetch a URL from the body: only URLs of SNS in the topic's region, over https and without
redirects, and to confirm a subscription only after its signature is verified. Certificates are
fetched for messages that are not verified yet, so these fetches are few.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from bolt_app.senders.aws_sns.messages import (
    SUBSCRIPTION,
    claimed_topic,
    is_certificate_address,
    is_signed,
    is_sns_address,
)
from bolt_app.senders.values import text
from bolt_app.thread_limit import ThreadLimit

# Returns the status and the beginning of the body of the answer.
Fetch = Callable[[str], tuple[int, bytes]]
# A failed fetch is not repeated for so long. SNS repeats a message after 20 seconds, three times
# (https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.retry.html): each may try again.
FAILED_FOR_SECONDS = 15.0
_MOST_CERTIFICATES = 50
_MOST_FAILED = 1000


class SnsUnreachableError(Exception):
    """SNS did not answer, or may not be asked now; the request can be retried."""


class SnsChecks:
    """Verifies messages of SNS and confirms its subscriptions.

    A webhook has one fetch at a time, and all webhooks together have a few: their threads wait.
    Messages with a known certificate need none.
    """

    def __init__(
        self, fetch: Fetch, waits: ThreadLimit, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Create it.

        Args:
            fetch: raises OSError, ValueError or TimeoutError without an answer.
            waits: the limit of threads that wait for SNS.
            monotonic: returns seconds on a monotonic clock.
        """
        self.fetch = fetch
        self._waits = waits
        self._monotonic = monotonic
        self._lock = Lock()
        self._certificates: dict[str, bytes] = {}
        # When the addresses that did not answer may be fetched again.
        self._failed: dict[str, float] = {}
        # The webhooks for which an address is being fetched.
        self._fetching: set[int] = set()

    def verify(self, webhook_id: int, body: Any, topic: str | None = None) -> str | None:
        """Return the ARN of the topic of a message that SNS signed.

        SNS signs for all of its customers with the same keys, so only the topic shows whose message
        it is.

        Args:
            topic: the only one that is accepted; None for any.

        Returns: None if SNS did not sign it, or for another topic.

        Raises:
            SnsUnreachableError: its certificate could not be fetched.
        """
        address, claimed = text(body, "SigningCertURL"), claimed_topic(body)
        if claimed is None or topic not in (None, claimed):
            return None
        if not is_certificate_address(address, claimed):
            return None
        return claimed if is_signed(body, self._certificate(webhook_id, address)) else None

    def confirm(self, webhook_id: int, body: Any) -> None:
        """Confirm a subscription if a verified message requests it.

        Raises:
            SnsUnreachableError: SNS did not accept the confirmation.
        """
        address, topic = text(body, "SubscribeURL"), text(body, "TopicArn")
        if text(body, "Type") == SUBSCRIPTION and is_sns_address(address, topic):
            self._get(webhook_id, address)

    def _certificate(self, webhook_id: int, address: str) -> bytes:
        with self._lock:
            known = self._certificates.get(address)
        if known is not None:
            return known
        found = self._get(webhook_id, address)
        with self._lock:
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[address] = found
        return found

    def _get(self, webhook_id: int, address: str) -> bytes:
        with self._lock:
            may_be_fetched = self._monotonic() >= self._failed.get(address, 0.0)
        if not may_be_fetched:
            raise SnsUnreachableError
        with self._turn_of(webhook_id), self._waits.enter() as has_room:
            if not has_room:
                raise SnsUnreachableError
            try:
                status, body = self.fetch(address)
            except (OSError, ValueError, TimeoutError) as error:
                self._remember_failure(address)
                raise SnsUnreachableError from error
            if status != 200:
                self._remember_failure(address)
                raise SnsUnreachableError
            return body

    @contextmanager
    def _turn_of(self, webhook_id: int) -> Iterator[None]:
        """Let a webhook have one fetch at a time; nobody waits for another's end.

        Raises:
            SnsUnreachableError: one is under way.
        """
        with self._lock:
            if webhook_id in self._fetching:
                raise SnsUnreachableError
            self._fetching.add(webhook_id)
        try:
            yield
        finally:
            with self._lock:
                self._fetching.discard(webhook_id)

    def _remember_failure(self, address: str) -> None:
        with self._lock:
            if len(self._failed) >= _MOST_FAILED:
                self._failed.clear()
            self._failed[address] = self._monotonic() + FAILED_FOR_SECONDS
