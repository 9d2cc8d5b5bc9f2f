"""The OAuth `state` of an install: signed, valid for ten minutes and for one install.

Issued states are not stored, because anyone can request any number of them, and neither are states
returned with a code that Slack rejects. Only the hashes of states of completed installs are stored,
until they expire.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer
from slack_sdk.oauth import OAuthStateStore
from sqlalchemy import delete

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import OAuthState
from bolt_app.db.upsert import insert_new

_SALT = "bellhop-oauth-state"


@dataclass(frozen=True)
class InstallAttempt:
    """A visit of the install URL, as recorded in its state.

    Attributes:
        only: `profile` for a person who links their profile or signs in; None for an install.
        team_id: the requested workspace (or organization).
    """

    expires_at: datetime
    only: str | None
    team_id: str | None

    @property
    def query(self) -> Mapping[str, str]:
        """The query of the install URL that starts the same attempt again."""
        given = {"only": self.only, "team": self.team_id}
        return {name: value for name, value in given.items() if value}


class StateStore(OAuthStateStore):
    """Issues and consumes states."""

    def __init__(
        self,
        database: Database,
        secret: str,
        *,
        clock: Clock = utc_now,
        expiration_seconds: int = 600,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lifetime = timedelta(seconds=expiration_seconds)
        self._signer = URLSafeSerializer(
            secret, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._logger = logging.getLogger(__name__)

    @property
    def logger(self) -> logging.Logger:
        """The logger of the store."""
        return self._logger

    def issue(
        self, *_args: object, only: str | None = None, team_id: str | None = None, **_kwargs: object
    ) -> str:
        """Return a new state."""
        expires_at = self._clock() + self._lifetime
        state = {
            "nonce": secrets.token_urlsafe(24),
            "expires": int(expires_at.timestamp()),
            "only": only,
            "team": team_id,
        }
        return str(self._signer.dumps(state))

    def read(self, state: str | None) -> InstallAttempt | None:
        """Return the attempt that `state` belongs to, used or expired; None for a forged one."""
        try:
            signed = self._signer.loads(state or "")
        except (BadData, UnicodeError):
            return None
        expires_at = datetime.fromtimestamp(signed["expires"], UTC)
        return InstallAttempt(expires_at, signed["only"], signed["team"])

    def is_good(self, state: str) -> bool:
        """Whether `state` was issued by Bellhop, has not expired and was not consumed."""
        attempt = self.read(state)
        if attempt is None or attempt.expires_at <= self._clock():
            return False
        with self._database.reading() as session:
            return session.get(OAuthState, hash_of_state(state)) is None

    def consume(self, state: str) -> bool:
        """Consume `state`; return whether it was valid, which happens once.

        One statement decides, so that only one of two simultaneous callbacks succeeds.
        """
        attempt, now = self.read(state), self._clock()
        if attempt is None or attempt.expires_at <= now:
            return False
        used = {"state_hash": hash_of_state(state), "expires_at": attempt.expires_at}
        with self._database.writing() as session:
            session.execute(delete(OAuthState).where(OAuthState.expires_at <= now))
            return insert_new(session, OAuthState, used)


def hash_of_state(state: str) -> str:
    """Return the stored hash of a state."""
    return hashlib.sha256(state.encode()).hexdigest()
