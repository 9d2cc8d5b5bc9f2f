"""Checks of installations, requested in the transaction of a caller.

`lifecycle.installation_checks` verifies them with Slack.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session

from bolt_app.db.models import InstallationCheck, UserInstallation
from bolt_app.installations.rows import InstallationRows

# The time of a check without a report: no session began before, so that it ends none of a token
# that works.
NEVER = datetime.fromtimestamp(0, UTC)
# People whose tokens are verified after an installation that may have been uninstalled before. Each
# is one call of Slack's auth.test.
MOST_PEOPLE = 300


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
            literal(NEVER, InstallationCheck.created_at.type),
        )
        .where(
            rows.at(UserInstallation, enterprise_id, team_id),
            UserInstallation.user_token.is_not(None),
            UserInstallation.invalid_reason.is_(None),
        )
        .order_by(UserInstallation.installed_at.desc(), UserInstallation.id.desc())
        .limit(MOST_PEOPLE)
    )
    columns = [
        InstallationCheck.enterprise_id,
        InstallationCheck.team_id,
        InstallationCheck.kind,
        InstallationCheck.user_id,
        InstallationCheck.created_at,
    ]
    session.execute(insert(InstallationCheck).from_select(columns, people))
