"""Checks of installations, requested in the transaction of a caller.

`lifecycle.installation_checks` verifies them with Slack.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from bolt_app.db.models import BotInstallation, InstallationCheck, UserInstallation
from bolt_app.installations.rows import InstallationRows

# The time of a check without a report: no session began before, so that it ends none of a token
# that works.
NEVER = datetime.fromtimestamp(0, UTC)
# People whose tokens are verified after an installation that may have been uninstalled before. Each
# is one call of Slack's auth.test.
MOST_PEOPLE = 300
# A bot is verified once a day without a report, because the report may be lost. So many at a time,
# so that they delay no report.
_UNVERIFIED = timedelta(days=1)
_MOST_DUE = 50

_COLUMNS = [
    InstallationCheck.enterprise_id,
    InstallationCheck.team_id,
    InstallationCheck.kind,
    InstallationCheck.user_id,
    InstallationCheck.created_at,
]
_NEVER = literal(NEVER, InstallationCheck.created_at.type)


class CheckKind(StrEnum):
    """The kind of an installation check.

    The first three verify that Slack still accepts tokens, the others find the workspaces that an
    organization's installation serves: all of them, one whose access may have changed, and one
    whose own installation was uninstalled.
    """

    INSTALLATION = "installation"
    BOT = "bot"
    USER = "user"
    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    UNINSTALLED = "uninstalled"


def request_check(
    session: Session,
    kind: CheckKind,
    enterprise_id: str | None,
    team_id: str | None,
    *,
    at: datetime,
    user_id: str = "",
) -> None:
    """Request a check of an installation.

    Args:
        at: the time of the report, or `NEVER`.
        user_id: the person whose token is verified.
    """
    session.add(
        InstallationCheck(
            enterprise_id=enterprise_id or "",
            team_id=team_id or "",
            kind=kind,
            user_id=user_id,
            created_at=at,
        )
    )


def take_check(session: Session, check: InstallationCheck) -> bool:
    """Delete a check in the transaction of its effect; return whether it existed."""
    taken = delete(InstallationCheck).where(InstallationCheck.id == check.id)
    return session.scalar(taken.returning(InstallationCheck.id)) is not None


def place_of(check: InstallationCheck) -> tuple[str | None, str | None]:
    """Return the organization and the workspace of a check; None for an empty id."""
    return check.enterprise_id or None, check.team_id or None


def check_separate(
    session: Session, rows: InstallationRows, is_concerned: ColumnElement[bool]
) -> None:
    """Request checks of workspaces' own installations, without a report."""
    separate = select(
        BotInstallation.enterprise_id,
        BotInstallation.team_id,
        literal(CheckKind.INSTALLATION.value),
        literal(""),
        _NEVER,
    ).where(
        BotInstallation.client_id == rows.client_id, BotInstallation.team_id != "", is_concerned
    )
    session.execute(insert(InstallationCheck).from_select(_COLUMNS, separate))


def request_due_checks(session: Session, rows: InstallationRows, now: datetime) -> None:
    """Request checks of the bots that have not been checked for a day, up to `_MOST_DUE`."""
    bots = BotInstallation
    due = (
        select(bots.id)
        .where(
            bots.client_id == rows.client_id,
            bots.invalid_reason.is_(None),
            func.coalesce(bots.checked_at, bots.installed_at) <= now - _UNVERIFIED,
        )
        .order_by(bots.id)
        .limit(_MOST_DUE)
        .with_for_update(skip_locked=True, key_share=True)
    )
    taken = update(bots).where(bots.id.in_(due)).values(checked_at=now)
    for enterprise_id, team_id in session.execute(
        taken.returning(bots.enterprise_id, bots.team_id),
        execution_options={"synchronize_session": False},
    ):
        kind, at = (CheckKind.BOT, NEVER) if team_id else (CheckKind.ORGANIZATION, now)
        request_check(session, kind, enterprise_id, team_id, at=at)


def check_people(
    session: Session, rows: InstallationRows, enterprise_id: str | None, team_id: str | None
) -> None:
    """Request checks of the people's tokens of an installation, of the newest `MOST_PEOPLE`."""
    people = (
        select(
            UserInstallation.enterprise_id,
            UserInstallation.team_id,
            literal(CheckKind.USER.value),
            UserInstallation.user_id,
            _NEVER,
        )
        .where(
            rows.at(UserInstallation, enterprise_id, team_id),
            UserInstallation.user_token.is_not(None),
            UserInstallation.invalid_reason.is_(None),
        )
        .order_by(UserInstallation.installed_at.desc(), UserInstallation.id.desc())
        .limit(MOST_PEOPLE)
    )
    session.execute(insert(InstallationCheck).from_select(_COLUMNS, people))
