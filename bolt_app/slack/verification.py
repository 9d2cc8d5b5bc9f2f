"""Verification of requests from Slack, before anything in them is parsed.

https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

from werkzeug.datastructures import Headers

from bolt_app.clock import Clock

logger = logging.getLogger(__name__)

TIMESTAMP_HEADER = "X-Slack-Request-Timestamp"
SIGNATURE_HEADER = "X-Slack-Signature"
# Slack's recommendation; an older request may be a replay.
MAX_AGE = timedelta(minutes=5)
_TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class SignatureHeaders:
    """The two headers of a signed request, well-formed and recent. They prove nothing yet."""

    timestamp: str
    signature: str

    @property
    def receipt_id(self) -> str:
        """The id that identifies a replay of the request, once it is verified."""
        return f"request:{self.signature[-40:]}"


class RequestVerifier:
    """Verifies that requests come from Slack, and counts those that do not.

    Attributes:
        bad_signatures: requests whose signature did not match the body, in this process.
    """

    def __init__(self, signing_secret: str, *, clock: Clock) -> None:
        self._secret = signing_secret.encode()
        self._clock = clock
        self._lock = Lock()
        self._has_verified = False
        self.bad_signatures = 0

    def read_headers(self, headers: Headers) -> SignatureHeaders | None:
        """Return the signature headers of a request; None if they are malformed or too old.

        The body is not needed for this. A header sent twice is rejected: the server joins the two
        (RFC 9110, 5.2), and the result is malformed.
        """
        timestamp, signature = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
        if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
            return None
        age = self._clock().timestamp() - int(timestamp)
        if abs(age) > MAX_AGE.total_seconds():
            return None
        return SignatureHeaders(timestamp, signature)

    def verify(self, headers: SignatureHeaders, body: bytes) -> bool:
        """Return whether Slack signed this body; count a signature that does not match."""
        message = b"v0:" + headers.timestamp.encode() + b":" + body
        expected = "v0=" + hmac.new(self._secret, message, hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected, headers.signature):
            self._has_verified = True
            return True
        self._count_bad_signature()
        return False

    def _count_bad_signature(self) -> None:
        with self._lock:
            self.bad_signatures += 1
            count = self.bad_signatures
        # Logged at powers of ten, so that a flood of requests does not fill the log.
        if str(count).strip("0") != "1":
            return
        if self._has_verified:
            explanation = "SLACK_SIGNING_SECRET is right: other requests matched it"
        else:
            explanation = (
                "SLACK_SIGNING_SECRET is probably wrong: copy it from your app's page at "
                "https://api.slack.com/apps (Basic Information → App Credentials → Signing Secret)"
            )
        logger.warning(
            "rejected a request with a signature that does not match. %s",
            explanation,
            extra={"bad_signatures": count},
        )
