"""The installation that serves a workspace, and the end of credentials of another one.

A workspace is served by its own installation or by its organization's. API keys and webhooks belong
to the one that served it when they were created: the bot of another one was approved by other
people, and reaches other channels. Therefore they are revoked once another installation serves the
workspace. A workspace that uninstalls and installs again, or whose organization does, keeps them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bolt_app.credentials.records import revoke_all
from bolt_app.db.models import ServingInstallation
from bolt_app.db.upsert import upsert
from bolt_app.installations.checks import check_people
from bolt_app.installations.rows import InstallationRows


def serve_by_organization(
    session: Session, rows: InstallationRows, team_id: str, enterprise_id: str, now: datetime
) -> None:
    """Record that an organization's installation serves a workspace, unless its own one does.

    Call it before rows of the workspace are locked.
    """
    known = _lock(session, team_id)
    if rows.lock_separate_bot(session, team_id) is not None:
        return
    if known == "":
        # Perhaps the uninstall of its own one was not reported, which ended the tokens of everyone.
        check_people(session, rows, None, team_id)
    _record(session, team_id, known, enterprise_id, now)


def serve_by_itself(session: Session, team_id: str, now: datetime) -> None:
    """Record that a workspace's own installation serves it. Call it before the bot is stored."""
    _record(session, team_id, _lock(session, team_id), "", now)


def _lock(session: Session, team_id: str) -> str | None:
    """Return the organization that served a workspace last; empty for its own installation."""
    last = select(ServingInstallation.enterprise_id).where(ServingInstallation.team_id == team_id)
    return session.scalar(last.with_for_update())


def _record(
    session: Session, team_id: str, known: str | None, enterprise_id: str, now: datetime
) -> None:
    if known == enterprise_id:
        return
    upsert(
        session,
        ServingInstallation,
        key={"team_id": team_id},
        insert={},
        update={"enterprise_id": enterprise_id},
    )
    if known is not None:
        revoke_all(session, team_id, now)
