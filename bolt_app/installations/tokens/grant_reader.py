"""Reads that answer a request in one statement: grants, revisions and the request's status."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import and_, bindparam, select

from bolt_app.db import Database, PreparedSelect
from bolt_app.db.accounts import IS_DEACTIVATED
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import BotInstallation, InstallationRevision, UserInstallation
from bolt_app.installations.records import Grant, InstallationStatus, to_grant
from bolt_app.installations.rows import InstallationRows

_REVISION = select(InstallationRevision.revision).where(
    InstallationRevision.client_id == bindparam("client_id"),
    InstallationRevision.enterprise_id == bindparam("enterprise_id"),
    InstallationRevision.team_id == bindparam("team_id"),
)
# Runs for every call of a method.
_FIND_REVISION = PreparedSelect(_REVISION)
# Runs once for all messages that are sent together.
_REVISIONS = PreparedSelect(
    select(
        InstallationRevision.enterprise_id,
        InstallationRevision.team_id,
        InstallationRevision.revision,
    ).where(
        InstallationRevision.client_id == bindparam("client_id"),
        is_any_of(InstallationRevision.enterprise_id, "enterprise_ids"),
        is_any_of(InstallationRevision.team_id, "team_ids"),
    )
)
# Runs for every request from Slack.
_STATUS = PreparedSelect(
    select(
        _REVISION.scalar_subquery().label("revision"),
        IS_DEACTIVATED.scalar_subquery().label("is_deactivated"),
    )
)


class GrantReader:
    """Reads grants and the facts that decide whether a cached grant is current."""

    def __init__(self, database: Database, rows: InstallationRows) -> None:
        self._database = database
        self._rows = rows

    def revision(self, *, enterprise_id: str | None, team_id: str | None) -> int:
        """Return the number of changes of the installation; 0 if there never was one."""
        rows = self._database.fetch(_FIND_REVISION, self._rows.revision_key(enterprise_id, team_id))
        return rows[0].revision if rows else 0

    def revisions(
        self, owners: Collection[tuple[str | None, str | None]]
    ) -> dict[tuple[str | None, str | None], int]:
        """Return the revisions of installations, by enterprise and workspace, in one statement."""
        keys = {owner: self._rows.revision_key(*owner) for owner in owners}
        values = {
            "client_id": self._rows.client_id,
            "enterprise_ids": {key["enterprise_id"] for key in keys.values()},
            "team_ids": {key["team_id"] for key in keys.values()},
        }
        rows = self._database.fetch(_REVISIONS, values)
        found = {(row.enterprise_id, row.team_id): row.revision for row in rows}
        places = {owner: (key["enterprise_id"], key["team_id"]) for owner, key in keys.items()}
        return {owner: found[place] for owner, place in places.items() if place in found}

    def status(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        workspace_id: str,
        user_id: str | None,
    ) -> InstallationStatus:
        """Return the status of a request of `user_id`, in one statement.

        Args:
            team_id: the workspace that is installed; None for an organization-wide installation.
            workspace_id: the workspace of the request.
        """
        values = {
            **self._rows.revision_key(enterprise_id, team_id),
            # An organization's bot serves the people of the organization, not all of a workspace.
            "workspace_id": workspace_id if team_id else "",
            "home_id": enterprise_id or "",
            "user_id": user_id,
        }
        [row] = self._database.fetch(_STATUS, values)
        return InstallationStatus(row.revision or 0, row.is_deactivated)

    def find(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None
    ) -> Grant | None:
        """Return the tokens for `user_id`, in one statement; None if never installed."""
        workspace = enterprise_id, team_id
        statement = (
            select(InstallationRevision.revision, BotInstallation, UserInstallation)
            .select_from(InstallationRevision)
            .outerjoin(BotInstallation, self._rows.at(BotInstallation, *workspace))
            .outerjoin(
                UserInstallation,
                and_(
                    self._rows.at(UserInstallation, *workspace), UserInstallation.user_id == user_id
                ),
            )
            .where(self._rows.at(InstallationRevision, *workspace))
        )
        with self._database.reading() as session:
            row = session.execute(statement).first()
        return None if row is None else to_grant(*row)
