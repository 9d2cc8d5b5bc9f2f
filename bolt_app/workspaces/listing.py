"""The known workspaces with a bot."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, or_, select

from bolt_app.db import Database
from bolt_app.db.models import BotInstallation, Team


@dataclass(frozen=True)
class KnownWorkspace:
    """A workspace with a bot: the workspace's or its organization's.

    Attributes:
        organization: the name or id of the organization, if the bot is the organization's.
    """

    team_id: str
    name: str | None
    organization: str | None


def find_workspaces(database: Database, client_id: str) -> list[KnownWorkspace]:
    """Return the workspaces with a bot, in alphabetical order.

    A workspace of an organization is known once a person has linked a profile there.
    """
    bot = BotInstallation
    serves = or_(
        and_(~bot.is_enterprise_install, Team.team_id == bot.team_id),
        and_(bot.is_enterprise_install, Team.enterprise_id == bot.enterprise_id),
    )
    statement = (
        select(bot, Team.team_id, Team.name)
        .join(Team, serves, isouter=True)
        .where(bot.client_id == client_id)
        .order_by(bot.is_enterprise_install)
    )
    found: dict[str, KnownWorkspace] = {}
    with database.reading() as session:
        for row in session.execute(statement):
            installed = row.BotInstallation
            # An organization without a known workspace has no id that a command could use.
            team_id = row.team_id or installed.team_id
            organization = installed.enterprise_name or installed.enterprise_id
            name = row.name or (None if installed.is_enterprise_install else installed.team_name)
            if team_id:
                served_by = organization if installed.is_enterprise_install else None
                found.setdefault(team_id, KnownWorkspace(team_id, name, served_by))
    return sorted(
        found.values(), key=lambda workspace: ((workspace.name or "").lower(), workspace.team_id)
    )
