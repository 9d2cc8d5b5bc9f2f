"""Ends of web sessions, written in the transaction of the change that ends them.

A session that must end with a token, an account or an installation is ended in its row. Otherwise
it would be valid again after the person's next sign-in, which renews the row of the installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import UserInstallation, WebSession
from bolt_app.db.receipts import CLOCK_SKEW

IDLE_TIMEOUT = timedelta(hours=12)
ABSOLUTE_TIMEOUT = timedelta(days=30)
# Slack's error codes for a token whose owner left or revoked it, or uninstalled the app
# (https://docs.slack.dev/reference/methods/auth.test#errors).
REVOKED = ("account_inactive", "token_revoked")


def is_active(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a session has neither ended nor expired."""
    return and_(
        WebSession.ended_at.is_(None),
        WebSession.last_seen_at > now - IDLE_TIMEOUT,
        WebSession.created_at > now - ABSOLUTE_TIMEOUT,
    )


def of_installations(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a session belongs to one of the installations."""
    return WebSession.installation_id.in_(select(UserInstallation.id).where(*conditions))


def of_earlier_grants(at: datetime, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a session began before a revocation, with an earlier token.

    A session that began since the latest install belongs to the token of that install.

    Args:
        at: the time of the revocation according to Slack.
        conditions: the installations.
    """
    was_replaced = UserInstallation.installed_at > WebSession.created_at
    return _began_until(at, was_replaced, *conditions)


def of_revoked_grants(at: datetime, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a session began before everyone's tokens were revoked.

    Args:
        at: the time of the revocation according to Slack; tokens granted until then were revoked.
        conditions: the installations.
    """
    was_replaced = UserInstallation.installed_at > WebSession.created_at
    was_revoked = UserInstallation.installed_at <= at + CLOCK_SKEW
    return _began_until(at, was_replaced | was_revoked, *conditions)


def _began_until(at: datetime, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    is_of_session = UserInstallation.id == WebSession.installation_id
    installation = select(UserInstallation.id).where(is_of_session, *conditions)
    return and_(WebSession.created_at <= at + CLOCK_SKEW, installation.exists())


def end_sessions(session: Session, condition: ColumnElement[bool], now: datetime) -> int:
    """End the active sessions that match a condition, with an audit row each; return how many.

    The rows have no address: the current request may be another person's, such as an installer's.
    """
    ended = mark_ended(session, condition, now)
    audit_sessions(session, AuditAction.SESSION_ENDED, ended, now, address=None)
    return len(ended)


def mark_ended(session: Session, condition: ColumnElement[bool], now: datetime) -> Sequence[int]:
    """End the active sessions that match a condition, without audit rows; return their ids."""
    ended = update(WebSession).where(condition, is_active(now)).values(ended_at=now)
    return session.scalars(
        ended.returning(WebSession.id), execution_options={"synchronize_session": False}
    ).all()


def audit_sessions(
    session: Session,
    action: AuditAction,
    session_ids: Sequence[int],
    now: datetime,
    *,
    address: str | None,
) -> None:
    """Record an event of each session, with the account of its installation.

    Args:
        address: the client's address if the current request is that of the sessions' owner.
    """
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
        .where(is_any_of(WebSession.id, values=session_ids))
        .order_by(WebSession.id)
    )
    for session_id, enterprise_id, team_id, user_id in session.execute(account).all():
        write_audit(
            session,
            action,
            at=now,
            address=address,
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
            credential=f"session:{session_id}",
        )
