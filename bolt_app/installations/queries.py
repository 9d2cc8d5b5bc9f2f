"""Questions about the installations of one Slack app, within the transaction of a caller."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import BotInstallation, Team, UserInstallation
from bolt_app.db.receipts import CLOCK_SKEW
from bolt_app.installations.rows import InstallationRows


class InstallationQueries:
    """Finds bots, people and the workspaces that a bot serves."""

    def __init__(self, rows: InstallationRows) -> None:
        self._rows = rows

    def has_working_bot(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> bool:
        """Whether there is a bot whose token Slack has not rejected."""
        working = select(BotInstallation.id).where(
            self._rows.at(BotInstallation, enterprise_id, team_id),
            BotInstallation.invalid_reason.is_(None),
        )
        return session.scalar(working) is not None

    def has_bot_since(
        self, session: Session, enterprise_id: str | None, team_id: str | None, at: datetime
    ) -> bool:
        """Whether there is a bot that was installed since an uninstall.

        Args:
            at: the time of the uninstall according to Slack.
        """
        installed = select(BotInstallation.id).where(
            self._rows.at(BotInstallation, enterprise_id, team_id),
            BotInstallation.installed_at > at - CLOCK_SKEW,
        )
        return session.scalar(installed) is not None

    def has_working_user(
        self, session: Session, enterprise_id: str | None, team_id: str | None, user_id: str
    ) -> bool:
        """Whether there is a person's token that Slack has not rejected."""
        working = select(UserInstallation.id).where(
            self._rows.at(UserInstallation, enterprise_id, team_id),
            UserInstallation.user_id == user_id,
            UserInstallation.user_token.is_not(None),
            UserInstallation.invalid_reason.is_(None),
        )
        return session.scalar(working) is not None

    def find_users_since(
        self, session: Session, enterprise_id: str | None, team_id: str | None, at: datetime
    ) -> set[str]:
        """Return the people with tokens granted since an uninstall that Slack has not rejected.

        Args:
            at: the time of the uninstall according to Slack.
        """
        granted = select(UserInstallation.user_id).where(
            self._rows.at(UserInstallation, enterprise_id, team_id),
            UserInstallation.installed_at > at - CLOCK_SKEW,
            UserInstallation.user_token.is_not(None),
            UserInstallation.invalid_reason.is_(None),
        )
        return set(session.scalars(granted))

    def find_linked(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> set[str]:
        """Return the ids of the people with an installation of a workspace (or organization)."""
        is_theirs = self._rows.at(UserInstallation, enterprise_id, team_id)
        return set(session.scalars(select(UserInstallation.user_id).where(is_theirs)))

    def find_installed(self, session: Session, user_id: str | None = None) -> set[str]:
        """Return the organizations with an installation, of anyone or of one person."""
        people = select(UserInstallation.enterprise_id).where(
            UserInstallation.client_id == self._rows.client_id, UserInstallation.team_id == ""
        )
        if user_id is not None:
            return set(session.scalars(people.where(UserInstallation.user_id == user_id)))
        bots = select(BotInstallation.enterprise_id).where(
            BotInstallation.client_id == self._rows.client_id, BotInstallation.team_id == ""
        )
        return set(session.scalars(people.union(bots)))

    def has_bot(self, session: Session, enterprise_id: str | None, team_id: str | None) -> bool:
        """Whether there is a bot, even if Slack has rejected its token."""
        is_theirs = self._rows.at(BotInstallation, enterprise_id, team_id)
        return session.scalar(select(BotInstallation.id).where(is_theirs)) is not None

    def is_installed(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> bool:
        """Whether there is a bot or an installation of a person."""
        place = enterprise_id, team_id
        return self.has_bot(session, *place) or bool(self.find_linked(session, *place))

    def without_bot(
        self, session: Session, team_ids: Collection[str], enterprise_id: str | None = None
    ) -> set[str]:
        """Return the workspaces that no bot serves, so that they may be erased.

        Args:
            enterprise_id: the organization whose bot does not count, because Slack does not list
                them for it.
        """
        is_ours = BotInstallation.client_id == self._rows.client_id
        separate = select(BotInstallation.team_id).where(
            is_ours, is_any_of(BotInstallation.team_id, values=team_ids)
        )
        serving = select(BotInstallation.enterprise_id).where(
            is_ours,
            BotInstallation.team_id == "",
            BotInstallation.enterprise_id != (enterprise_id or ""),
        )
        served = select(Team.team_id).where(
            is_any_of(Team.team_id, values=team_ids), Team.enterprise_id.in_(serving)
        )
        return set(team_ids) - {*session.scalars(separate), *session.scalars(served)}
