"""Sends callbacks until they are taken.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md says how
they are signed, what an answer means and when to try again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException, HTTPMessage
from threading import Lock
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sqlalchemy import delete, select, update
from standardwebhooks import Webhook

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import Callback, CallbackEndpoint
from bolt_app.notifications.callbacks import with_name

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15
# Longer than an attempt takes: after it another process may try.
LEASE = timedelta(minutes=1)
# How long to wait after each attempt that failed; after the last of them it is given up.
RETRIES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 300, 600, 840, 1200))
GONE = 410


@dataclass(frozen=True)
class _Claimed:
    """A callback that this process alone sends for a while."""

    id: int
    api_key_id: int
    message_id: str
    body: str
    attempts: int
    url: str
    secret: str


class _NoRedirects(HTTPRedirectHandler):
    """What is redirected has failed: a signed body is for one address alone."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class CallbackSender:
    """Sends what is due, one after another."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._opener = build_opener(_NoRedirects)
        self._busy = Lock()

    def send_due(self) -> int:
        """Send every callback that is due; return how many were taken.

        Of an endpoint that does not take one, no other is tried in the same go. Where this process
        is at it already, nothing is done.
        """
        if not self._busy.acquire(blocking=False):
            return 0
        try:
            return self._send_all()
        finally:
            self._busy.release()

    def _send_all(self) -> int:
        taken = 0
        refused: set[int] = set()
        while (claimed := self._claim(refused)) is not None:
            error = self._post(claimed)
            if error is None:
                taken += 1
                self._forget(claimed)
            else:
                refused.add(claimed.api_key_id)
                self._put_off(claimed, error)
        return taken

    def _claim(self, refused: Collection[int]) -> _Claimed | None:
        now = self._clock()
        due = (
            select(Callback)
            .where(Callback.next_at <= now, Callback.api_key_id.not_in(refused))
            .order_by(Callback.next_at, Callback.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=Callback)
        )
        with self._database.writing() as session:
            while (callback := session.scalar(due)) is not None:
                try:
                    endpoint = session.get_one(CallbackEndpoint, callback.api_key_id)
                    body = with_name(session.connection(), callback.body)
                    url, secret = endpoint.url, endpoint.secret
                except (DecryptionError, ValueError):
                    # Its body or its endpoint: no later attempt could read it either.
                    extra = {"api_key": callback.api_key_id, "callback": callback.id}
                    logger.error("a callback cannot be read and is given up", extra=extra)
                    session.execute(delete(Callback).where(Callback.id == callback.id))
                    continue
                callback.next_at = now + LEASE
                callback.attempts += 1
                return _Claimed(
                    id=callback.id,
                    api_key_id=callback.api_key_id,
                    message_id=callback.message_id,
                    body=body,
                    attempts=callback.attempts,
                    url=url,
                    secret=secret,
                )
            return None

    def _post(self, claimed: _Claimed) -> str | None:
        """Send a callback; return why it was not taken, or None."""
        now = self._clock()
        try:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "Bellhop",
                "webhook-id": claimed.message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                # A secret that cannot be read signs nothing: that is a ValueError, too.
                "webhook-signature": Webhook(claimed.secret).sign(
                    claimed.message_id, now, claimed.body
                ),
            }
            # The scheme was checked when the address was set.
            request = Request(claimed.url, claimed.body.encode(), headers)  # noqa: S310
            with self._opener.open(request, timeout=TIMEOUT_SECONDS):
                return None
        except HTTPError as error:
            error.close()
            return str(error.code)
        except (OSError, HTTPException, ValueError) as error:
            # What it says may hold the address, and that a secret.
            return type(error).__name__

    def _forget(self, claimed: _Claimed) -> None:
        with self._database.writing() as session:
            session.execute(delete(Callback).where(Callback.id == claimed.id))

    def _put_off(self, claimed: _Claimed, error: str) -> None:
        extra = {"api_key": claimed.api_key_id, "error": error, "attempts": claimed.attempts}
        if error == str(GONE):
            logger.warning("an endpoint wants no more callbacks", extra=extra)
            mine = CallbackEndpoint.api_key_id == claimed.api_key_id
            with self._database.writing() as session:
                session.execute(delete(CallbackEndpoint).where(mine))
            return
        if claimed.attempts > len(RETRIES):
            logger.error("a callback was given up", extra=extra)
            self._forget(claimed)
            return
        logger.warning("a callback was not taken", extra=extra)
        self._try_again_at(claimed, error, self._clock() + RETRIES[claimed.attempts - 1])

    def _try_again_at(self, claimed: _Claimed, error: str, next_at: datetime) -> None:
        mine = Callback.id == claimed.id
        with self._database.writing() as session:
            session.execute(update(Callback).where(mine).values(next_at=next_at, error=error))
