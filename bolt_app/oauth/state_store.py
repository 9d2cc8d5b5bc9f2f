"""OAuth states in the database: ten minutes, one use."""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import timedelta

from slack_sdk.oauth import OAuthStateStore
from sqlalchemy import delete

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import OAuthState


class SQLAlchemyStateStore(OAuthStateStore):
    """Issues and consumes the `state` of an install; only its hash is stored."""

    def __init__(
        self, database: Database, *, clock: Clock = utc_now, expiration_seconds: int = 600
    ) -> None:
        self._database = database
        self._clock = clock
        self._lifetime = timedelta(seconds=expiration_seconds)
        self._logger = logging.getLogger(__name__)

    @property
    def logger(self) -> logging.Logger:
        """Where the store logs."""
        return self._logger

    def issue(self, *args: object, **kwargs: object) -> str:
        """Return a new state, and sweep those that have expired."""
        state = secrets.token_urlsafe(32)
        now = self._clock()
        with self._database.writing() as session:
            session.execute(delete(OAuthState).where(OAuthState.expires_at <= now))
            session.add(OAuthState(state_hash=_hash(state), expires_at=now + self._lifetime))
        return state

    def consume(self, state: str) -> bool:
        """Return whether `state` was good, which it is once.

        One statement decides, so that of two callbacks at the same time one passes.
        """
        statement = delete(OAuthState).where(
            OAuthState.state_hash == _hash(state), OAuthState.expires_at > self._clock()
        )
        with self._database.writing() as session:
            return session.execute(statement.returning(OAuthState.state_hash)).first() is not None


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
