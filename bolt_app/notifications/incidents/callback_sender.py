"""The sender of callbacks: endpoints in parallel, callbacks of one endpoint in order.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md specifies
the signature, the meaning of responses and the retries.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from aiohttp import ClientError
from sqlalchemy import ColumnElement, delete, or_, select, update
from standardwebhooks import Webhook

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import ApiKey, Callback, CallbackEndpoint
from bolt_app.http_loop import HttpLoop
from bolt_app.logs import describe_error
from bolt_app.notifications.incidents.callback_addresses import Network
from bolt_app.notifications.incidents.callback_http import CallbackClient
from bolt_app.notifications.incidents.callbacks import with_name
from bolt_app.notifications.incidents.errors import RefusedAddressError

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15
# Longer than an attempt can take; then another process may claim the endpoint.
LEASE = timedelta(minutes=1)
# Endpoints that one process sends to at once.
PARALLEL = 16
# Waits after failed attempts; a callback that fails after the last one is given up.
RETRIES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 300, 600, 840, 1200))
GONE = 410
REFUSED_ADDRESS = "refused_address"


@dataclass(frozen=True)
class _Claimed:
    """A callback whose endpoint this process has claimed until `lease`."""

    id: int
    api_key_id: int
    message_id: str
    body: str = field(repr=False)
    attempts: int
    url: str = field(repr=False)
    secret: str = field(repr=False)
    lease: datetime


class CallbackSender:
    """Sends due callbacks in its own threads."""

    def __init__(
        self,
        database: Database,
        http: HttpLoop,
        *,
        networks: Sequence[Network] = (),
        timeout: float = TIMEOUT_SECONDS,
        clock: Clock = utc_now,
    ) -> None:
        """Create the sender and its threads.

        Args:
            http: runs the requests.
            networks: private and loopback networks that may be called.
            timeout: seconds that an attempt may take in total.
        """
        self._database = database
        self._clock = clock
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="callbacks")
        self._resolvers = ThreadPoolExecutor(PARALLEL, thread_name_prefix="callbacks-dns")
        self._client = CallbackClient(http, self._resolvers, networks=networks, timeout=timeout)
        # Endpoints that have a thread, or wait for one.
        self._busy: set[int] = set()
        self._lock = Lock()

    def start(self) -> list[Future[int]]:
        """Start to send to every endpoint with due callbacks, without waiting.

        Returns: for each endpoint, the number of callbacks that it accepted.
        """
        now = self._clock()
        due = (
            select(Callback.api_key_id)
            .join(CallbackEndpoint, CallbackEndpoint.api_key_id == Callback.api_key_id)
            .where(Callback.next_at <= now, _is_free(now))
            .distinct()
        )
        with self._database.reading() as session:
            key_ids = session.scalars(due).all()
        with self._lock:
            idle = [key_id for key_id in key_ids if key_id not in self._busy]
            self._busy.update(idle)
        return [self._threads.submit(self._send_to, key_id) for key_id in idle]

    def send_due(self) -> int:
        """Send every due callback; return how many were accepted.

        After a failure, no further callback is sent to the endpoint in this run.
        """
        return sum(started.result() for started in self.start())

    def close(self) -> None:
        """Finish the attempts under way."""
        self._threads.shutdown(cancel_futures=True)
        self._resolvers.shutdown(cancel_futures=True)

    def _send_to(self, key_id: int) -> int:
        taken = 0
        try:
            lease = None
            while (claimed := self._claim(key_id, lease)) is not None:
                lease = claimed.lease
                error = self._post(claimed)
                if error is not None:
                    self._put_off(claimed, error)
                    return taken
                taken += 1
                self._forget(claimed)
            return taken
        except Exception:
            logger.exception("callbacks could not be sent", extra={"api_key": key_id})
            return taken
        finally:
            with self._lock:
                self._busy.discard(key_id)

    def _claim(self, key_id: int, lease: datetime | None = None) -> _Claimed | None:
        """Claim an endpoint, or renew our `lease` of it; return its oldest due callback.

        Callbacks of an expired key are deleted. Without due callbacks the endpoint is released.
        """
        now = self._clock()
        is_ours = _is_free(now) if lease is None else CallbackEndpoint.claimed_until == lease
        claim = (
            update(CallbackEndpoint)
            .where(CallbackEndpoint.api_key_id == key_id, is_ours)
            .values(claimed_until=now + LEASE)
            .returning(CallbackEndpoint.api_key_id)
            .execution_options(synchronize_session=False)
        )
        due = (
            select(Callback)
            .where(Callback.api_key_id == key_id, Callback.next_at <= now)
            .order_by(Callback.id)
            .limit(1)
        )
        expired = select(ApiKey.id).where(ApiKey.id == key_id, ApiKey.expires_at <= now)
        with self._database.writing() as session:
            if session.execute(claim).first() is None:
                return None
            session.execute(delete(Callback).where(Callback.api_key_id.in_(expired)))
            while (callback := session.scalar(due)) is not None:
                try:
                    endpoint = session.get_one(CallbackEndpoint, key_id)
                    body = with_name(session.connection(), callback.body)
                    url, secret = endpoint.url, endpoint.secret
                except (DecryptionError, ValueError):
                    # Its body or its endpoint is damaged, and stays so.
                    extra = {"api_key": key_id, "callback": callback.id}
                    logger.error("a callback cannot be read and is given up", extra=extra)
                    session.execute(delete(Callback).where(Callback.id == callback.id))
                    continue
                callback.attempts += 1
                return _Claimed(
                    id=callback.id,
                    api_key_id=key_id,
                    message_id=callback.message_id,
                    body=body,
                    attempts=callback.attempts,
                    url=url,
                    secret=secret,
                    lease=now + LEASE,
                )
            is_endpoint = CallbackEndpoint.api_key_id == key_id
            session.execute(update(CallbackEndpoint).where(is_endpoint).values(claimed_until=None))
            return None

    def _post(self, claimed: _Claimed) -> str | None:
        """Send a callback; return the reason of a failure, or None."""
        now = self._clock()
        try:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "Bellhop",
                "webhook-id": claimed.message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                # An invalid secret raises a ValueError, too.
                "webhook-signature": Webhook(claimed.secret).sign(
                    claimed.message_id, now, claimed.body
                ),
            }
            status = self._client.post(claimed.url, claimed.body.encode(), headers)
        except RefusedAddressError:
            return REFUSED_ADDRESS
        except (OSError, ClientError, ValueError) as error:
            # Its message may contain the address, which may contain a secret.
            return type(error).__name__
        except Exception as error:  # a bug of ours is retried like any other failure
            extra = {"api_key": claimed.api_key_id, "error": describe_error(error)}
            logger.error("a callback could not be sent", extra=extra)
            return type(error).__name__
        return None if 200 <= status < 300 else str(status)

    def _forget(self, claimed: _Claimed) -> None:
        with self._database.writing() as session:
            session.execute(delete(Callback).where(Callback.id == claimed.id))

    def _put_off(self, claimed: _Claimed, error: str) -> None:
        extra = {"api_key": claimed.api_key_id, "error": error, "attempts": claimed.attempts}
        if error == str(GONE):
            logger.warning("an endpoint wants no more callbacks", extra=extra)
            with self._database.writing() as session:
                session.execute(delete(CallbackEndpoint).where(*_is_claimed(claimed)))
            return
        if claimed.attempts > len(RETRIES):
            logger.error("a callback was given up", extra=extra)
            self._forget(claimed)
            self._release(claimed)
            return
        logger.warning("a callback was not taken", extra=extra)
        next_at = self._clock() + RETRIES[claimed.attempts - 1]
        retry = update(Callback).where(Callback.id == claimed.id)
        with self._database.writing() as session:
            session.execute(retry.values(next_at=next_at, error=error))
        self._release(claimed)

    def _release(self, claimed: _Claimed) -> None:
        released = update(CallbackEndpoint).where(*_is_claimed(claimed)).values(claimed_until=None)
        with self._database.writing() as session:
            session.execute(released)


def _is_claimed(claimed: _Claimed) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for an endpoint that has neither been claimed nor replaced since."""
    return (
        CallbackEndpoint.api_key_id == claimed.api_key_id,
        CallbackEndpoint.claimed_until == claimed.lease,
    )


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(CallbackEndpoint.claimed_until.is_(None), CallbackEndpoint.claimed_until <= now)
