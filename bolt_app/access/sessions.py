"""Web sessions, stored under the hash of a token that only the browser has.

A session belongs to an installation and is deleted with it (unlink, revoked token, uninstall).
https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Membership, User, UserInstallation, WebSession
from bolt_app.db.web_sessions import (
    ABSOLUTE_TIMEOUT,
    IDLE_TIMEOUT,
    REVOKED,
    audit_sessions,
    end_sessions,
    is_active,
    mark_ended,
    of_installations,
)
from bolt_app.installations.records import StoredInstallation

# Resolution of `last_seen_at`, so that not every page view writes.
SEEN_EVERY = timedelta(minutes=1)
# How long a session is kept after it can no longer be used.
KEEP_FOR = timedelta(days=30)

# Whether the installation's person is deactivated in Slack.
_IS_DEACTIVATED = exists().where(
    User.user_id == UserInstallation.user_id,
    User.is_deleted,
    or_(
        User.home_id == UserInstallation.team_id,
        and_(User.home_id == UserInstallation.enterprise_id, User.home_id != ""),
        User.id.in_(
            select(Membership.user_id).where(Membership.team_id == UserInstallation.team_id)
        ),
    ),
)


@dataclass(frozen=True)
class SessionRecord:
    """A session, without its token."""

    id: int
    team_id: str
    enterprise_id: str
    user_id: str
    created_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None

    def state(self, now: datetime) -> str:
        """Return `active`, `ended` or `expired`."""
        if self.ended_at is not None:
            return "ended"
        idle = self.last_seen_at <= now - IDLE_TIMEOUT
        return "expired" if idle or self.created_at <= now - ABSOLUTE_TIMEOUT else "active"


class Sessions:
    """The web sessions of all workspaces."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def begin(self, installation_id: int, *, replaces: str | None = None) -> str:
        """Begin a session for the person of an installation and return its token.

        Args:
            replaces: the browser's previous token, whose session ends.

        Raises:
            sqlalchemy.exc.IntegrityError: the installation was deleted in the meantime.
        """
        token, now = secrets.token_urlsafe(32), self._clock()
        row = {
            "token_hash": _hash(token),
            "installation_id": installation_id,
            "created_at": now,
            "last_seen_at": now,
        }
        with self._database.writing() as session:
            if replaces is not None:
                mark_ended(session, WebSession.token_hash == _hash(replaces), now)
            new = insert(WebSession).values(row).returning(WebSession.id)
            session_id = session.scalars(new).one()
            audit_sessions(
                session, AuditAction.SIGNED_IN, [session_id], now, address=client_address()
            )
        return token

    def find(self, token: str) -> int | None:
        """Return the installation id of a token's session.

        None if the session has ended or expired, its person is deactivated, or Slack reported
        their token as revoked.
        """
        now = self._clock()
        statement = (
            select(WebSession.id, WebSession.installation_id, WebSession.last_seen_at)
            .join(UserInstallation, UserInstallation.id == WebSession.installation_id)
            .where(
                WebSession.token_hash == _hash(token),
                is_active(now),
                func.coalesce(UserInstallation.invalid_reason, "").not_in(REVOKED),
                ~_IS_DEACTIVATED,
            )
        )
        with self._database.reading() as session:
            found = session.execute(statement).first()
        if found is None:
            return None
        if found.last_seen_at <= now - SEEN_EVERY:
            seen = update(WebSession).where(WebSession.id == found.id)
            with self._database.writing() as session:
                session.execute(seen.values(last_seen_at=now))
        installation_id: int = found.installation_id
        return installation_id

    def sign_out(self, token: str) -> None:
        """End the session of a token."""
        now = self._clock()
        with self._database.writing() as session:
            ended = mark_ended(session, WebSession.token_hash == _hash(token), now)
            audit_sessions(session, AuditAction.SIGNED_OUT, ended, now, address=client_address())

    def end(self, session_id: int) -> bool:
        """End a session; return whether there was one to end."""
        return self._end_all(WebSession.id == session_id) > 0

    def end_of_person(self, team_id: str, user_id: str) -> int:
        """End the sessions of a person in a workspace or organization; return how many."""
        return self._end_all(_of_person([team_id], user_id))

    def end_of_account(self, installation: StoredInstallation) -> None:
        """End the sessions of an account that Slack no longer accepts."""
        places = installation.enterprise_id, installation.team_id
        self._end_all(_of_person(places, installation.user_id))

    def of_team(self, team_id: str) -> list[SessionRecord]:
        """Return the sessions of a workspace (or organization), oldest first."""
        is_there = or_(
            UserInstallation.team_id == team_id, UserInstallation.enterprise_id == team_id
        )
        statement = (
            select(WebSession, UserInstallation)
            .join(UserInstallation, UserInstallation.id == WebSession.installation_id)
            .where(is_there)
            .order_by(WebSession.id)
        )
        with self._database.reading() as session:
            return [
                _record(found, installation) for found, installation in session.execute(statement)
            ]

    def delete_expired(self) -> None:
        """Delete the sessions that have been unusable for a month."""
        old = WebSession.created_at < self._clock() - ABSOLUTE_TIMEOUT - KEEP_FOR
        with self._database.writing() as session:
            session.execute(delete(WebSession).where(old))

    def _end_all(self, condition: ColumnElement[bool]) -> int:
        with self._database.writing() as session:
            return end_sessions(session, condition, self._clock())


def end_sessions_of(
    session: Session,
    places: Collection[str | None],
    user_id: str,
    now: datetime,
    *,
    begun_until: datetime | None = None,
) -> None:
    """End the sessions of a deactivated person in the transaction of `session`.

    Args:
        places: the workspaces and organizations where they signed in.
        begun_until: only those that began until then; None means all.
    """
    condition = _of_person(places, user_id)
    if begun_until is not None:
        condition &= WebSession.created_at <= begun_until
    end_sessions(session, condition, now)


def _of_person(places: Collection[str | None], user_id: str) -> ColumnElement[bool]:
    ids = sorted({id_ for id_ in places if id_})
    return of_installations(
        UserInstallation.user_id == user_id,
        or_(
            is_any_of(UserInstallation.team_id, values=ids),
            is_any_of(UserInstallation.enterprise_id, values=ids),
        ),
    )


def _record(found: WebSession, installation: UserInstallation) -> SessionRecord:
    return SessionRecord(
        id=found.id,
        team_id=installation.team_id,
        enterprise_id=installation.enterprise_id,
        user_id=installation.user_id,
        created_at=found.created_at,
        last_seen_at=found.last_seen_at,
        ended_at=found.ended_at,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
