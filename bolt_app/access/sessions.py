"""Web sessions, stored under the hash of a token that only the browser has.

A session belongs to an installation and is deleted with it (unlink, revoked token, uninstall).
https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import Membership, User, UserInstallation, WebSession

IDLE_TIMEOUT = timedelta(hours=12)
ABSOLUTE_TIMEOUT = timedelta(days=30)
# Resolution of `last_seen_at`, so that not every page view writes.
SEEN_EVERY = timedelta(minutes=1)
# How long a session is kept after it can no longer be used.
KEEP_FOR = timedelta(days=30)

# Slack's error codes for a person's token whose owner left or revoked it.
_GONE = ("account_inactive", "token_revoked")
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
                _end(session, WebSession.token_hash == _hash(replaces), now)
            new = insert(WebSession).values(row).returning(WebSession.id)
            session_id = session.scalars(new).one()
            _audit(session, AuditAction.SIGNED_IN, [session_id], now)
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
                _is_active(now),
                func.coalesce(UserInstallation.invalid_reason, "").not_in(_GONE),
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
            ended = _end(session, WebSession.token_hash == _hash(token), now)
            _audit(session, AuditAction.SIGNED_OUT, ended, now)

    def end(self, session_id: int) -> bool:
        """End a session; return whether there was one to end."""
        return self._end_all(WebSession.id == session_id) > 0

    def end_of_person(self, team_id: str, user_id: str) -> int:
        """End the sessions of a person in a workspace or organization; return how many."""
        return self._end_all(_of_person(None, team_id, user_id))

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
        now = self._clock()
        with self._database.writing() as session:
            ended = _end(session, condition, now)
            _audit(session, AuditAction.SESSION_ENDED, ended, now)
        return len(ended)


def end_sessions_of(
    session: Session, enterprise_id: str | None, team_id: str, user_id: str, now: datetime
) -> None:
    """End the sessions of a deactivated person in the transaction of `session`."""
    ended = _end(session, _of_person(enterprise_id, team_id, user_id), now)
    _audit(session, AuditAction.SESSION_ENDED, ended, now)


def _of_person(enterprise_id: str | None, team_id: str, user_id: str) -> ColumnElement[bool]:
    ids = [id_ for id_ in (team_id, enterprise_id) if id_]
    return WebSession.installation_id.in_(
        select(UserInstallation.id).where(
            UserInstallation.user_id == user_id,
            or_(
                UserInstallation.team_id.in_(ids),
                UserInstallation.enterprise_id.in_(ids),
            ),
        )
    )


def _is_active(now: datetime) -> ColumnElement[bool]:
    return and_(
        WebSession.ended_at.is_(None),
        WebSession.last_seen_at > now - IDLE_TIMEOUT,
        WebSession.created_at > now - ABSOLUTE_TIMEOUT,
    )


def _end(session: Session, condition: ColumnElement[bool], now: datetime) -> Sequence[int]:
    """End the active sessions that match a condition; return their ids."""
    ended = update(WebSession).where(condition, _is_active(now)).values(ended_at=now)
    return session.scalars(ended.returning(WebSession.id)).all()


def _audit(
    session: Session, action: AuditAction, session_ids: Sequence[int], now: datetime
) -> None:
    if not session_ids:
        return
    account = (
        select(
            WebSession.id,
            UserInstallation.enterprise_id,
            UserInstallation.team_id,
            UserInstallation.user_id,
        )
        .join(UserInstallation, UserInstallation.id == WebSession.installation_id)
        .where(WebSession.id.in_(session_ids))
    )
    for session_id, enterprise_id, team_id, user_id in session.execute(account).all():
        write_audit(
            session,
            action,
            at=now,
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
            credential=f"session:{session_id}",
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
