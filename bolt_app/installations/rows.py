"""The rows of one Slack app's installations: their keys and their revision."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from bolt_app.db.models import BotInstallation, InstallationRevision, UserInstallation
from bolt_app.db.upsert import count_up

_Model = type[BotInstallation] | type[UserInstallation] | type[InstallationRevision]
# The bot of a person's installation, of the same workspace or organization.
IS_BOT_OF_USER = and_(
    BotInstallation.client_id == UserInstallation.client_id,
    BotInstallation.team_id == UserInstallation.team_id,
    or_(
        UserInstallation.team_id != "",
        BotInstallation.enterprise_id == UserInstallation.enterprise_id,
    ),
)


@dataclass(frozen=True)
class InstallationRows:
    """Conditions and keys for the rows of one Slack app.

    A workspace's rows are found by its id alone, which is unique in all of Slack: a workspace may
    join or leave an organization, and Slack then names another one in its requests. All rows of a
    workspace name the same organization (`organizations.py`). An empty `team_id` means the
    installation of an organization.
    """

    client_id: str

    def at(
        self, model: _Model, enterprise_id: str | None, team_id: str | None
    ) -> ColumnElement[bool]:
        """Return the condition for rows of one workspace (or organization)."""
        return and_(model.client_id == self.client_id, is_at(model, enterprise_id, team_id))

    def separate_bot(self, team_id: str) -> Select[str]:
        """Return the query for the organization of a workspace that has its own bot.

        It finds nothing if the workspace has none. The bot of another Slack app does not count:
        Bellhop cannot use it.
        """
        return select(BotInstallation.enterprise_id).where(self.at(BotInstallation, None, team_id))

    def lock_separate_bot(self, session: Session, team_id: str) -> str | None:
        """Return the organization of a workspace with its own bot; None without such a bot.

        Empty outside an organization. Neither changes until the transaction ends. Ask before other
        rows are locked, because a removal locks the bot first.
        """
        bots = self.separate_bot(team_id).with_for_update(read=True, key_share=True)
        return session.scalars(bots).first()

    def key(self, enterprise_id: str | None, team_id: str | None) -> dict[str, str]:
        """Return the values that a row of one workspace (or organization) is stored with."""
        return {
            "client_id": self.client_id,
            "enterprise_id": enterprise_id or "",
            "team_id": team_id or "",
        }

    def revision_key(self, enterprise_id: str | None, team_id: str | None) -> dict[str, str]:
        """Return the key of an installation's revision: of a workspace without organization."""
        return self.key(None if team_id else enterprise_id, team_id)

    def bump_revision(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Lock the installation, and invalidate its cached grants in every process."""
        count_up(
            session,
            InstallationRevision,
            key=self.revision_key(enterprise_id, team_id),
            counter=InstallationRevision.revision,
        )


def is_at(model: _Model, enterprise_id: str | None, team_id: str | None) -> ColumnElement[bool]:
    """Return the condition for rows of one workspace (or organization) of any Slack app."""
    if team_id:
        return model.team_id == team_id
    return and_(model.enterprise_id == (enterprise_id or ""), model.team_id == "")


def is_within(model: _Model, enterprise_id: str | None, team_id: str | None) -> ColumnElement[bool]:
    """Return the condition for rows of a workspace, or an organization and all in it, of any app.

    Deletions about a person or a workspace include the rows of earlier Slack apps: they are
    personal data, and would be valid again if the operator returned to that app.
    """
    if team_id or not enterprise_id:
        return is_at(model, enterprise_id, team_id)
    return model.enterprise_id == enterprise_id
