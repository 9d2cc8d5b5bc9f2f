"""Requests to the app: signed, and events with Slack's retries.

See https://docs.slack.dev/authentication/verifying-requests-from-slack and
https://docs.slack.dev/apis/events-api#retries.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from slack_sandbox.world import JsonDict

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
ANSWER_WITHIN = 3.0
"""Seconds in which the app must respond."""
RETRY_AFTER = (0.0, 60.0, 300.0)
"""Seconds before the first, second and third retry of an event."""
_BODY_LIMIT = 1_000_000
_KEPT = 500

DeliveryKind = Literal["event", "command", "interaction", "url_verification"]


@dataclass(frozen=True)
class Reply:
    """The app's response, or the reason for its absence (``problem``, one of Slack's retry
    reasons).
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    elapsed: float = 0.0
    problem: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the response arrived in time with a 2xx status."""
        return self.problem is None and 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Attempt:
    """One attempt of a delivery; ``reason`` is None if it succeeded."""

    number: int
    at: float
    status: int
    reason: str | None
    elapsed: float


@dataclass(eq=False)
class Delivery:
    """A request to the app, with every attempt."""

    id: str
    kind: DeliveryKind
    name: str
    url: str
    team_id: str
    body: bytes = field(repr=False)
    content_type: str
    due_at: float
    attempts: list[Attempt] = field(default_factory=list)
    state: Literal["pending", "delivered", "failed"] = "pending"
    reply: Reply | None = field(default=None, repr=False)
    _settled: threading.Event = field(default_factory=threading.Event, repr=False)

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait until the delivery succeeds or is given up. Returns False after ``timeout``."""
        return self._settled.wait(timeout)

    @property
    def payload(self) -> JsonDict:
        """The JSON of an event."""
        parsed: JsonDict = json.loads(self.body)
        return parsed

    def summary(self) -> JsonDict:
        """The delivery without its body, for pages."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "team_id": self.team_id,
            "state": self.state,
            "attempts": [vars(attempt) for attempt in self.attempts],
        }

    def settle(self, state: Literal["delivered", "failed"]) -> None:
        """Set the final state."""
        self.state = state
        self._settled.set()


def signature_headers(body: bytes, secret: str, at: float) -> dict[str, str]:
    """The two headers that authenticate a request from Slack."""
    timestamp = str(int(at))
    base = b"v0:" + timestamp.encode() + b":" + body
    digest = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


def post(url: str, body: bytes, headers: Mapping[str, str], within: float = ANSWER_WITHIN) -> Reply:
    """POST ``body`` and wait up to ``within`` seconds for the response. Never raises network
    errors.

    Redirects are not followed: like Slack, the sandbox sends only to the registered address.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=within)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    started = time.monotonic()
    problem = "unknown_error"
    try:
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        answer = response.read(_BODY_LIMIT)
        elapsed = time.monotonic() - started
        if elapsed <= within:
            return Reply(response.status, dict(response.getheaders()), answer, elapsed)
        problem = "http_timeout"
    except TimeoutError:
        problem = "http_timeout"
    except ssl.SSLError:
        problem = "ssl_error"
    except (ConnectionRefusedError, OSError):
        problem = "connection_failed"
    except http.client.HTTPException:
        problem = "unknown_error"
    finally:
        connection.close()
    return Reply(elapsed=time.monotonic() - started, problem=problem)


class EventQueue:
    """Events waiting for delivery or retry. Thread-safe.

    ``send`` makes one attempt over HTTP; ``clock`` decides when a delivery is due.
    """

    def __init__(self, send: Callable[[Delivery, int], Reply], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Delivery] = []
        self._in_flight = 0
        self._generation = 0
        self._log: deque[Delivery] = deque(maxlen=_KEPT)

    def add(self, delivery: Delivery) -> None:
        """Queue a delivery for the sender threads."""
        with self._changed:
            self._log.append(delivery)
            self._waiting.append(delivery)
            self._changed.notify_all()

    def record(self, delivery: Delivery) -> None:
        """Log a delivery that was sent elsewhere."""
        with self._changed:
            self._log.append(delivery)

    def log(self) -> list[Delivery]:
        """The latest deliveries, oldest first."""
        with self._changed:
            return list(self._log)

    def clear(self) -> None:
        """Delete all deliveries; a running attempt is not retried."""
        with self._changed:
            self._waiting.clear()
            self._log.clear()
            self._generation += 1
            self._changed.notify_all()

    def wake(self) -> None:
        """Check again for due deliveries, after the clock was moved."""
        with self._changed:
            self._changed.notify_all()

    def deliver_due(self) -> None:
        """Send all due deliveries, and wait for running attempts of other threads."""
        while True:
            with self._changed:
                delivery = self._take()
                if delivery is None:
                    if self._in_flight == 0:
                        return
                    self._changed.wait(0.5)
                    continue
                generation = self._generation
            self._attempt(delivery, generation)

    def deliver_one(self, delivery: Delivery) -> None:
        """Attempt a queued delivery now, or wait for the thread that already took it."""
        with self._changed:
            is_queued = delivery in self._waiting
            if is_queued:
                self._waiting.remove(delivery)
                self._in_flight += 1
            else:
                self._changed.wait_for(lambda: delivery.attempts)
            generation = self._generation
        if is_queued:
            self._attempt(delivery, generation)

    def serve(self, stopping: threading.Event) -> None:
        """Send due deliveries until ``stopping`` is set."""
        while not stopping.is_set():
            with self._changed:
                delivery = self._take()
                if delivery is None:
                    self._changed.wait(self._seconds_until_due())
                    continue
                generation = self._generation
            self._attempt(delivery, generation)

    def _seconds_until_due(self) -> float:
        waits = [delivery.due_at - self._clock() for delivery in self._waiting]
        # A test moves its clock without notifying this queue, so check once a second.
        return max(0.001, min([*waits, 1.0]))

    def _take(self) -> Delivery | None:
        now = self._clock()
        due = [delivery for delivery in self._waiting if delivery.due_at <= now]
        if not due:
            return None
        delivery = min(due, key=lambda queued: queued.due_at)
        self._waiting.remove(delivery)
        self._in_flight += 1
        return delivery

    def _attempt(self, delivery: Delivery, generation: int) -> None:
        is_retry = False
        try:
            reply = self._send(delivery, len(delivery.attempts))
            is_retry = self._record_attempt(delivery, reply)
        finally:
            # In one step: a retry is always either waiting or in flight.
            with self._changed:
                self._in_flight -= 1
                if is_retry and generation == self._generation:
                    self._waiting.append(delivery)
                self._changed.notify_all()

    def _record_attempt(self, delivery: Delivery, reply: Reply) -> bool:
        number = len(delivery.attempts)
        reason = reply.problem or (None if reply.is_success else "http_error")
        delivery.attempts.append(
            Attempt(number, self._clock(), reply.status, reason, reply.elapsed)
        )
        delivery.reply = reply
        if reply.is_success:
            delivery.settle("delivered")
            return False
        if number >= len(RETRY_AFTER) or _refuses_retries(reply):
            delivery.settle("failed")
            return False
        delivery.due_at = self._clock() + RETRY_AFTER[number]
        return True


def _refuses_retries(reply: Reply) -> bool:
    return any(
        name.lower() == "x-slack-no-retry" and value.strip() == "1"
        for name, value in reply.headers.items()
    )


def json_body(value: Any) -> bytes:
    """A compact JSON request body, as Slack sends it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
