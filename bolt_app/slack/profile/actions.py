"""Actions of one person on their own profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from slack_bolt import BoltContext

from bolt_app.blockkit.elements import Reply
from bolt_app.installations.flow import INSTALL_PATH
from bolt_app.installations.records import Grant, StoredInstallation
from bolt_app.installations.tokens.grants import TokenRequest
from bolt_app.notifications.history.views import Viewer
from bolt_app.profiles.view import Profile
from bolt_app.services import Services
from bolt_app.slack.profile.blocks import (
    not_linked_reply,
    profile_reply,
    token_dead_reply,
    unlinked_reply,
)
from bolt_app.slack.profile.errors import TooManyRefreshesError


@dataclass(frozen=True)
class ProfileActions:
    """One person, and the grant that their actions use."""

    services: Services
    grant: Grant
    enterprise_id: str | None
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> Self:
        """Return the person who sent a Bolt request."""
        return cls(
            services=services,
            grant=context["grant"],
            enterprise_id=context.enterprise_id,
            team_id=context.team_id or "",
            user_id=context.user_id or "",
        )

    @classmethod
    def find(cls, services: Services, team_id: str, user_id: str) -> Self:
        """Return a person outside a request of theirs.

        Raises:
            NotInstalledError: the bot is not installed in the workspace.
            SlackCallError: the token has expired, and Slack did not refresh it.
        """
        workspace = services.client.find_workspace(team_id)
        token_request = TokenRequest(workspace.enterprise_id, workspace.installed_team_id, user_id)
        grant = services.grants.find(token_request) or Grant(revision=0)
        return cls(services, grant, workspace.enterprise_id, team_id, user_id)

    def show(self) -> Reply:
        """Show the profile; record it first if it is missing.

        Raises:
            SlackCallError: the profile was missing, and the call to Slack failed.
        """
        if self.grant.installation_id is None:
            return not_linked_reply(self._link_url())
        if self.grant.user_invalid_reason is not None:
            return token_dead_reply(self._link_url())
        profile = self.services.profiles.find(self.team_id, self.user_id, self.enterprise_id)
        return self.refresh() if profile is None else self._render(profile)

    def refresh(self) -> Reply:
        """Read the profile from Slack again and show it.

        Raises:
            SlackCallError: Slack refused or did not answer.
            TooManyRefreshesError: the person refreshed too often within a minute.
        """
        installation = self._installation()
        if installation is None:
            return not_linked_reply(self._link_url())
        if self.services.refreshes.take(f"{self.team_id}:{self.user_id}"):
            raise TooManyRefreshesError
        return self._render(self.services.profiles.record(installation))

    def is_linked(self) -> bool:
        """Whether there is anything to unlink."""
        return self._installation() is not None

    def unlink(self) -> Reply:
        """Delete the person's data; `installations.tokens.revocations` then revokes their token."""
        installation = self._installation()
        if installation is not None:
            self.services.lifecycle.profiles.unlink(installation)
        return unlinked_reply()

    def viewer(self) -> Viewer:
        """Return the person as a viewer of notifications."""
        return Viewer(self.team_id, self.user_id)

    def _installation(self) -> StoredInstallation | None:
        installations = self.services.installations
        if self.grant.installation_id is not None:
            return installations.find_by_id(self.grant.installation_id)
        if self.enterprise_id is None:
            return None
        # Their profile is also shown where the workspace's separate bot answers.
        return installations.find(
            enterprise_id=self.enterprise_id,
            team_id=None,
            user_id=self.user_id,
            is_enterprise_install=True,
        )

    def _render(self, profile: Profile) -> Reply:
        return profile_reply(profile, self.grant.user_scopes, self.services.clock())

    def _link_url(self) -> str:
        # The bot is already installed, so linking needs only user scopes and no admin.
        query = urlencode({"only": "profile", "team": self.team_id})
        return f"{self.services.settings.public_url}{INSTALL_PATH}?{query}"
