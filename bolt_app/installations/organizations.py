"""The organization that a workspace belongs to, according to Slack's latest answer.

A workspace joins and leaves organizations without an event. Reports and requests may name a former
organization, so that they only cause a question: the answers of `oauth.v2.access`, `auth.test` and
`auth.teams.list` are recorded here, unless Slack has answered a later question.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from bolt_app.db.models import BotInstallation, InstallationCheck, Team, UserInstallation
from bolt_app.db.receipts import is_latest
from bolt_app.installations.rows import InstallationRows, is_at

# The fact of a workspace whose latest statement is remembered.
ORGANIZATION = "organization"


def record_organization(
    session: Session,
    rows: InstallationRows,
    team_id: str,
    enterprise_id: str | None,
    *,
    asked_at: datetime,
    now: datetime,
) -> bool:
    """Record the organization of a workspace, whose installation the caller has locked.

    Args:
        enterprise_id: None outside an organization.
        asked_at: the time of the question that Slack answered.

    Returns: whether the answer is the latest; otherwise nothing changes.
    """
    if not is_latest(session, team_id, ORGANIZATION, asked_at, now):
        return False
    move(session, rows, team_id, enterprise_id)
    return True


def move(
    session: Session,
    rows: InstallationRows,
    team_id: str,
    enterprise_id: str | None,
    enterprise_name: str | None = None,
) -> None:
    """Change the organization of all rows of a workspace, also those of earlier Slack apps.

    A workspace without its own bot is recorded as its organization's only by a list of Slack.
    """
    organization_id = enterprise_id or ""
    for model in (BotInstallation, UserInstallation):
        is_moved = and_(is_at(model, None, team_id), model.enterprise_id != organization_id)
        if session.scalar(select(model.id).where(is_moved).limit(1)) is None:
            continue
        # Otherwise an install at the same time could insert a second row.
        rows.bump_revision(session, enterprise_id, team_id)
        session.execute(
            update(model)
            .where(is_moved)
            .values(enterprise_id=organization_id, enterprise_name=enterprise_name),
            execution_options={"synchronize_session": False},
        )
    session.execute(
        update(Team)
        .where(Team.team_id == team_id, Team.enterprise_id != organization_id)
        .where(rows.separate_bot(team_id).exists())
        .values(enterprise_id=organization_id, enterprise_name=enterprise_name),
        execution_options={"synchronize_session": False},
    )


def find_organizations(session: Session, rows: InstallationRows, team_id: str) -> Collection[str]:
    """Return the organizations whose installation may serve a workspace.

    They are the recorded one, and those that pending checks of the workspace name.
    """
    recorded = select(Team.enterprise_id).where(Team.team_id == team_id)
    pending = select(InstallationCheck.enterprise_id).where(InstallationCheck.team_id == team_id)
    known = recorded.union(rows.separate_bot(team_id), pending)
    return set(session.scalars(known)) - {""}
