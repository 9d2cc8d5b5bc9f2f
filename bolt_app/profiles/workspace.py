"""The workspace of a page about a person."""

from __future__ import annotations

from bolt_app.installations.records import StoredInstallation
from bolt_app.profiles.view import Profile
from bolt_app.workspaces.client import BotWorkspace


def workspace_of(installation: StoredInstallation, profile: Profile | None) -> BotWorkspace:
    """Return the workspace of the page: for an organization, the person's workspace in it."""
    if installation.team_id is not None or profile is None:
        return BotWorkspace.of(installation, installation.team_id or "")
    linked = (
        workspace.team_id
        for workspace in profile.workspaces
        if workspace.enterprise_id == installation.enterprise_id
    )
    return BotWorkspace.of(installation, next(linked, ""))
