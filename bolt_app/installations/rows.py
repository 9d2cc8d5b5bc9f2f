"""The rows of one Slack app's installations: their keys and their revision."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import Session

from bolt_app.db.models import BotInstallation, InstallationRevision, UserInstallation
from bolt_app.db.upsert import count_up

_Model = type[BotInstallation] | type[UserInstallation] | type[InstallationRevision]


@dataclass(frozen=True)
class InstallationRows:
    """Conditions and keys for the rows of one Slack app.

    An empty `team_id` means the installation of an organization.
    """

    client_id: str

    def at(
        self, model: _Model, enterprise_id: str | None, team_id: str | None
    ) -> ColumnElement[bool]:
        """Return the condition for rows of one workspace (or organization)."""
        return and_(
            model.client_id == self.client_id,
            model.enterprise_id == (enterprise_id or ""),
            model.team_id == (team_id or ""),
        )

    def within(
        self, model: _Model, enterprise_id: str | None, team_id: str | None
    ) -> ColumnElement[bool]:
        """Return the condition for rows of a workspace, or of an organization and all below it."""
        if team_id or not enterprise_id:
            return self.at(model, enterprise_id, team_id)
        return and_(model.client_id == self.client_id, model.enterprise_id == enterprise_id)

    def separate_bot(self, team_id: str) -> Select[int]:
        """Return the query for the id of a workspace's own bot, not that of its organization.

        The bot of another Slack app does not count: Bellhop cannot use it.
        """
        return select(BotInstallation.id).where(
            BotInstallation.client_id == self.client_id, BotInstallation.team_id == team_id
        )

    def key(self, enterprise_id: str | None, team_id: str | None) -> dict[str, str]:
        """Return the key of one workspace's (or organization's) rows."""
        return {
            "client_id": self.client_id,
            "enterprise_id": enterprise_id or "",
            "team_id": team_id or "",
        }

    def bump_revision(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Lock the installation, and invalidate its cached grants in every process."""
        count_up(
            session,
            InstallationRevision,
            key=self.key(enterprise_id, team_id),
            counter=InstallationRevision.revision,
        )
