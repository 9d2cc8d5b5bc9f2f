"""Workspaces that use an organization's installation, recorded when Slack first names them.

Only people who link their profile are asked about their workspace. Where nobody has, a request is
what shows that the organization's installation serves the workspace; once it is recorded, an
uninstall erases its people too.
"""

from __future__ import annotations

from collections.abc import Callable

from slack_bolt import App, BoltContext, BoltResponse

from bolt_app.oauth.calls import NotInstalledError
from bolt_app.services import Services


def register_organization_workspaces(app: App, services: Services) -> None:
    """Record the workspace of every request that an organization's installation serves."""

    @app.use
    def record_workspace(context: BoltContext, next: Callable[[], BoltResponse]) -> BoltResponse:
        team_id, enterprise_id = context.team_id, context.enterprise_id
        # Bolt authorizes no event about an installation that is going.
        grant = context.get("grant")
        is_served = bool(context.is_enterprise_install and grant and grant.bot_token)
        if is_served and enterprise_id and team_id and team_id.startswith("T"):
            try:
                services.calls.find_place(team_id)
            except NotInstalledError:
                services.profiles.record_workspace(team_id, enterprise_id)
        return next()
