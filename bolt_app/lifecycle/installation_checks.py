"""Reports about installations, verified with Slack before they take effect.

Slack retries an event for minutes, and longer after an outage: the report of an uninstall may
arrive after Bellhop is installed again. Only Slack knows whether a token is valid.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from bolt_app.clock import Clock, utc_now
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import InstallationCheck
from bolt_app.installations.checks import CheckKind
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.lifecycle.installations import InstallationLifecycle
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError, WorkspaceClient

logger = logging.getLogger(__name__)


class InstallationChecks:
    """Verifies pending reports with Slack, and applies the results."""

    def __init__(
        self,
        directory: InstallationDirectory,
        client: WorkspaceClient,
        lifecycle: InstallationLifecycle,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._directory = directory
        self._client = client
        self._lifecycle = lifecycle
        self._clock = clock
        # Serializes runs of one process, which would otherwise ask Slack twice.
        self._lock = threading.Lock()

    def run(self) -> tuple[int, list[SlackCallError]]:
        """Verify every pending report with Slack. Repeating it is harmless.

        Returns: the number of settled reports, and the errors of the others.
        """
        with self._lock:
            return self._run()

    def _run(self) -> tuple[int, list[SlackCallError]]:
        errors: list[SlackCallError] = []
        seen: set[tuple[int, str]] = set()
        # A removal of a workspace's bot requests another check. SQLite may reuse the id.
        while pending := [one for one in self._lifecycle.pending_checks() if _key(one) not in seen]:
            seen.update(map(_key, pending))
            errors += self._check_all(pending)
            # Rejects API keys and webhooks of a removed installation from now on.
            self._client.forget_workspace(None)
        return len(seen) - len(errors), errors

    def _check_all(self, pending: Sequence[InstallationCheck]) -> list[SlackCallError]:
        errors = []
        for check in pending:
            try:
                self._check(check)
            except SlackCallError as error:
                logger.warning("an installation could not be checked", extra={"code": error.code})
                errors.append(error)
        return errors

    def _check(self, check: InstallationCheck) -> None:
        if check.kind in (CheckKind.INSTALLATION, CheckKind.BOT, CheckKind.USER):
            self._check_tokens(check)
        else:
            self._check_workspaces(check)

    def _check_tokens(self, check: InstallationCheck) -> None:
        unreadable: list[str] = []
        if check.kind == CheckKind.USER:
            is_readable = self._verify_user(check, check.user_id)
        else:
            is_working, is_readable = self._verify_bot(check)
            if check.kind == CheckKind.INSTALLATION and not is_working:
                people = sorted(self._lifecycle.people_since(check))
                unreadable = [one for one in people if not self._verify_user(check, one)]
        self._lifecycle.remove_rejected(check, is_unreadable=not is_readable, unreadable=unreadable)

    def _verify_bot(self, check: InstallationCheck) -> tuple[bool, bool]:
        """Return whether a bot's token works, and whether it could be decrypted."""
        try:
            return self._client.verify_bot(_workspace_of(check)), True
        except DecryptionError:
            logger.warning("a revoked token cannot be read", extra={"check": check.id})
            return False, False

    def _verify_user(self, check: InstallationCheck, user_id: str) -> bool:
        """Mark a person's token if Slack rejects it; return whether it could be decrypted."""
        try:
            installation = self._directory.find(
                enterprise_id=check.enterprise_id or None,
                team_id=check.team_id or None,
                user_id=user_id,
                is_enterprise_install=not check.team_id,
            )
            if installation is not None:
                self._client.verify_user(installation)
        except DecryptionError:
            logger.warning("a revoked token cannot be read", extra={"check": check.id})
            return False
        return True

    def _check_workspaces(self, check: InstallationCheck) -> None:
        """Find the workspaces that an organization's installation serves.

        https://docs.slack.dev/reference/methods/auth.teams.list
        """
        listed_at = self._clock()
        try:
            listed = self._client.workspaces_of(check.enterprise_id)
        except NotInstalledError:
            self._lifecycle.drop_check(check)
            return
        except SlackCallError as error:
            if not error.is_dead_token:
                raise
            # Another check decides whether it was uninstalled.
            self._lifecycle.drop_check(check)
            return
        self._lifecycle.apply_workspaces(check, listed, listed_at=listed_at)


def _key(check: InstallationCheck) -> tuple[int, str]:
    return check.id, check.kind


def _workspace_of(check: InstallationCheck) -> BotWorkspace:
    return BotWorkspace(
        check.enterprise_id or None, check.team_id, is_enterprise_install=not check.team_id
    )
