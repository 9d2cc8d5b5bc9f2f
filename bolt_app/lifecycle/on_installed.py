"""The steps that follow a completed install: recording the profile and welcoming the installer."""

from __future__ import annotations

import logging
from concurrent.futures import Executor, Future, wait
from typing import Any

from bolt_app.db import DATABASE_UNAVAILABLE, Database
from bolt_app.installations.records import StoredInstallation
from bolt_app.lifecycle.installation_checks import InstallationChecks
from bolt_app.lifecycle.installations import InstallationLifecycle
from bolt_app.logs import describe_error
from bolt_app.notifications.queue.change_feed import resume_workspaces
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.profiles.service import Profiles
from bolt_app.profiles.workspace import workspace_of
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError
from bolt_app.workspaces.greetings import Greetings

logger = logging.getLogger(__name__)

_TEMPORARY = (SlackCallError, NotInstalledError, *DATABASE_UNAVAILABLE)
# The wait for Slack's list of an organization's workspaces. Later, the worker asks again.
_CHECK_SECONDS = 3.0


class OnInstalled:
    """Runs the steps after an install. A failure of Slack or the database is logged, not raised."""

    def __init__(
        self,
        database: Database,
        wakeup: Wakeup,
        profiles: Profiles,
        greetings: Greetings,
        lifecycle: InstallationLifecycle,
        installation_checks: InstallationChecks,
        background: Executor,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._wakeup = wakeup
        self._profiles = profiles
        self._greetings = greetings
        self._lifecycle = lifecycle
        self._installation_checks = installation_checks
        self._background = background
        self._public_url = public_url

    def record(self, installation: StoredInstallation) -> None:
        """Resume deliveries and store the person's profile.

        The installation is valid even if this fails: `bellhop retry-pending` repeats it.
        """
        try:
            with self._database.writing_connection() as connection:
                resume_workspaces(connection)
            self._wakeup.notify()
            checked = self._request_check(installation)
            profile = self._profiles.record(installation)
            if checked is not None and not workspace_of(installation, profile).team_id:
                # The next page shows the workspace only if the organization's bot serves it.
                wait([checked], _CHECK_SECONDS)
        except _TEMPORARY as error:
            logger.warning(
                "a profile is still to be recorded", extra={"error": describe_error(error)}
            )

    def _request_check(self, installation: StoredInstallation) -> Future[Any] | None:
        if not installation.is_enterprise_install or not installation.enterprise_id:
            return None
        self._lifecycle.organization_installed(installation.enterprise_id)
        return self._installation_checks.run_in_background(self._background)

    def welcome(self, installation: StoredInstallation) -> None:
        """Post the welcome message to the person who installed the bot."""
        try:
            profile = self._profiles.find_for(installation)
            workspace = workspace_of(installation, profile)
            url = f"{self._public_url}/profile"
            self._greetings.welcome(workspace, installation.user_id, url)
        except _TEMPORARY as error:
            # The page after the install shows the same steps.
            logger.info("the welcome was not posted", extra={"error": describe_error(error)})
