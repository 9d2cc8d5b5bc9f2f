"""The profile of the person who asks, whatever state it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from slack_bolt import BoltContext

from bolt_app.blockkit.elements import Answer
from bolt_app.installations.flow import INSTALL_PATH
from bolt_app.installations.records import Grant, StoredInstallation
from bolt_app.installations.tokens.grants import TokenRequest
from bolt_app.notifications.history.visibility import Viewer
from bolt_app.profiles.view import Profile
from bolt_app.services import Services
from bolt_app.slack.profile.blocks import (
    not_linked_answer,
    profile_answer,
    token_dead_answer,
    unlinked_answer,
)


@dataclass(frozen=True)
class ProfileActions:
    """The person a request comes from, and what they granted."""

    services: Services
    grant: Grant
    enterprise_id: str | None
    team_id: str
    user_id: str

    @classmethod
    def of(cls, services: Services, context: BoltContext) -> Self:
        """Return the person a Bolt request comes from."""
        return cls(
            services=services,
            grant=context["grant"],
            enterprise_id=context.enterprise_id,
            team_id=context.team_id or "",
            user_id=context.user_id or "",
        )

    @classmethod
    def find(cls, services: Services, team_id: str, user_id: str) -> Self:
        """Return a person of whom there is no request.

        Raises:
            NotInstalledError: there is no bot in that workspace.
            SlackCallError: its token has expired, and Slack does not refresh it now.
        """
        workspace = services.client.find_workspace(team_id)
        asker = TokenRequest(workspace.enterprise_id, workspace.installed_team_id, user_id)
        grant = services.grants.find(asker) or Grant(revision=0)
        return cls(services, grant, workspace.enterprise_id, team_id, user_id)

    def show(self) -> Answer:
        """Show the profile; one that is still owed is recorded first.

        Raises:
            SlackCallError: it had to be recorded, and Slack refused or did not answer.
        """
        if self.grant.installation_id is None:
            return not_linked_answer(self._link_url())
        if self.grant.user_invalid_reason is not None:
            return token_dead_answer(self._link_url())
        profile = self.services.profiles.find(self.team_id, self.user_id, self.enterprise_id)
        return self.refresh() if profile is None else self._render(profile)

    def refresh(self) -> Answer:
        """Read the profile from Slack anew and show it.

        Raises:
            SlackCallError: Slack refused or did not answer.
        """
        installation = self._installation()
        if installation is None:
            return not_linked_answer(self._link_url())
        return self._render(self.services.profiles.record(installation))

    def is_linked(self) -> bool:
        """Whether there is anything to unlink."""
        return self._installation() is not None

    def unlink(self) -> Answer:
        """Forget the person; `oauth.revocations` then hands their token back to Slack."""
        installation = self._installation()
        if installation is not None:
            self.services.lifecycle.unlink(installation)
        return unlinked_answer()

    def viewer(self) -> Viewer:
        """Return the person as one who looks at notifications."""
        profile = self.services.profiles.find(self.team_id, self.user_id, self.enterprise_id)
        return Viewer(self.team_id, self.user_id, profile.email if profile else None)

    def _installation(self) -> StoredInstallation | None:
        if self.grant.installation_id is None:
            return None
        return self.services.installations.find_by_id(self.grant.installation_id)

    def _render(self, profile: Profile) -> Answer:
        return profile_answer(profile, self.grant.user_scopes, self.services.clock())

    def _link_url(self) -> str:
        # Who has the bot in the workspace already links themselves alone, without an admin.
        query = urlencode({"only": "profile", "team": self.team_id})
        return f"{self.services.settings.public_url}{INSTALL_PATH}?{query}"
