"""The workspace that a page about a person is about."""

from __future__ import annotations

from bolt_app.installations.records import StoredInstallation
from bolt_app.profiles.view import Profile
from bolt_app.workspaces.client import BotWorkspace


def workspace_of(installation: StoredInstallation, profile: Profile | None) -> BotWorkspace:
    """Return the workspace the page is about: for an organisation, the person's own in it."""
    if installation.team_id is not None or profile is None:
        return BotWorkspace.of(installation, installation.team_id or "")
    own = (
        workspace.team_id
        for workspace in profile.workspaces
        if workspace.enterprise_id == installation.enterprise_id
    )
    return BotWorkspace.of(installation, next(own, ""))
