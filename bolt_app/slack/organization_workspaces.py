"""Workspaces that use an organization's installation, recorded at the first request from them.

An install, and events about access, list an organization's workspaces
(`lifecycle.installation_checks`). If such an event is lost, a request shows that the organization's
installation may serve the workspace. Once it is recorded, an uninstall also erases its people.

A request may name a workspace of another organization: that of a person in a shared channel.
Therefore people are authorized first, and a workspace is recorded only if Slack lists it for the
installation: https://docs.slack.dev/reference/methods/auth.teams.list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from slack_bolt import App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.middleware import Middleware

from bolt_app.recent_answers import RecentAnswers
from bolt_app.services import Services
from bolt_app.slack.endpoint import is_event
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

# The lifetime of an organization's list. It delays only a workspace that is not on the list yet.
# About one on the list Slack is asked again: the organization may have closed it since.
_LISTED_FOR = timedelta(seconds=60)
_MOST_ORGANIZATIONS = 1000


def register_organization_workspaces(app: App, services: Services) -> None:
    """Record the workspaces that an organization's installation serves.

    Register it after the check that a person may use Bellhop.
    """
    app.use(_WorkspaceRecords(services))


class _WorkspaceRecords(Middleware):
    """Middleware that records the workspace of a request.

    It is a class because Bolt builds every possible argument for a function, on each request.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listed: RecentAnswers[str, frozenset[str]] = RecentAnswers(
            _LISTED_FOR, _MOST_ORGANIZATIONS, services.clock
        )
        self._checked: RecentAnswers[str, bool] = RecentAnswers(
            _LISTED_FOR, _MOST_ORGANIZATIONS, services.clock
        )

    def process(
        self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        """Record the workspace if it is new, and pass the request on.

        Raises:
            SlackCallError: a person waits, and the call to Slack failed.
        """
        try:
            self._record(req.context)
        except SlackCallError as error:
            if not is_event(req.body):
                raise
            logger.warning("a workspace is not recorded", extra={"error": error.code})
        return next()

    def _record(self, context: BoltContext) -> None:
        team_id, enterprise_id = context.team_id or "", context.enterprise_id
        self._follow_organization(context)
        if not enterprise_id or not team_id.startswith("T"):
            return
        if not _is_served_by_organization(context) or self._is_known(team_id):
            return
        known = self._listed.find(enterprise_id)
        if known is not None and team_id not in known:
            return
        listed_at = self._services.clock()
        if team_id in self._list(enterprise_id):
            self._services.profiles.record_workspace(team_id, enterprise_id, listed_at=listed_at)

    def _follow_organization(self, context: BoltContext) -> None:
        """Check a workspace's own bot if a request names another organization than recorded."""
        grant = context.get("grant")
        if context.is_enterprise_install or grant is None or grant.bot_token is None:
            return
        team_id = context.team_id or ""
        if grant.enterprise_id == context.enterprise_id or self._checked.find(team_id):
            return
        self._checked.ask(team_id, lambda: True)
        services = self._services
        services.lifecycle.installations.organization_changed(team_id)
        services.installation_checks.run_in_background(services.background)

    def _is_known(self, team_id: str) -> bool:
        try:
            self._services.client.find_workspace(team_id)
        except NotInstalledError:
            return False
        return True

    def _list(self, enterprise_id: str) -> frozenset[str]:
        client = self._services.client
        return self._listed.ask(
            enterprise_id, lambda: frozenset(client.workspaces_of(enterprise_id))
        )


def _is_served_by_organization(context: BoltContext) -> bool:
    # Bolt does not authorize events about an installation that is being removed.
    grant = context.get("grant")
    return bool(context.is_enterprise_install and grant and grant.bot_token)
