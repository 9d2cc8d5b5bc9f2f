"""Reports about installations, verified with Slack before they take effect.

Slack retries an event for minutes, and longer after an outage: the report of an uninstall may
arrive after Bellhop is installed again. Only Slack knows whether a token is valid.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime

from bolt_app.clock import Clock, utc_now
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import InstallationCheck
from bolt_app.installations.checks import CheckKind
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.lifecycle.installations import InstallationLifecycle
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError, WorkspaceClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """Slack's answer to the question which workspaces an organization's installation serves.

    Attributes:
        teams: the names of the workspaces by id.
    """

    asked_at: datetime
    teams: Mapping[str, str | None]


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
        # Guards the run that has not begun, if there is one.
        self._queue_lock = threading.Lock()
        self._queued: Future[tuple[int, list[SlackCallError]]] | None = None

    def run(self) -> tuple[int, list[SlackCallError]]:
        """Verify every pending report with Slack. Repeating it is harmless.

        Returns: the number of settled reports, and the errors of the others.
        """
        with self._lock:
            return self._run()

    def run_in_background(self, executor: Executor) -> Future[tuple[int, list[SlackCallError]]]:
        """Return a run that begins later; all callers until then share it.

        Of many reports at once, one thread verifies all and at most one other waits.
        """
        with self._queue_lock:
            if self._queued is None:
                self._queued = executor.submit(self._run_queued)
            return self._queued

    def _run_queued(self) -> tuple[int, list[SlackCallError]]:
        with self._lock:
            with self._queue_lock:
                self._queued = None
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
        listings: dict[str, Listing] = {}
        for check in pending:
            try:
                if check.kind in (CheckKind.INSTALLATION, CheckKind.BOT, CheckKind.USER):
                    self._check_tokens(check)
                else:
                    self._check_workspaces(check, listings)
            except SlackCallError as error:
                logger.warning("an installation could not be checked", extra={"code": error.code})
                errors.append(error)
            except DecryptionError:
                # It is verified once the key is back; those of others are verified now.
                logger.warning("a token cannot be read", extra={"check": check.id})
        return errors

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

    def _check_workspaces(self, check: InstallationCheck, listings: dict[str, Listing]) -> None:
        """Find the workspaces that an organization's installation serves.

        https://docs.slack.dev/reference/methods/auth.teams.list

        Args:
            listings: Slack's answers since the checks were read, by organization; one answers all.
        """
        try:
            listing = listings.get(check.enterprise_id)
            if listing is None:
                asked_at = self._clock()
                listing = Listing(asked_at, self._client.workspaces_of(check.enterprise_id))
                listings[check.enterprise_id] = listing
        except NotInstalledError:
            self._lifecycle.drop_check(check)
            return
        except SlackCallError as error:
            if not error.is_dead_token:
                raise
            # Another check decides whether it was uninstalled.
            self._lifecycle.drop_check(check)
            return
        self._lifecycle.apply_workspaces(check, listing.teams, listed_at=listing.asked_at)


def _key(check: InstallationCheck) -> tuple[int, str]:
    return check.id, check.kind


def _workspace_of(check: InstallationCheck) -> BotWorkspace:
    return BotWorkspace(
        check.enterprise_id or None, check.team_id, is_enterprise_install=not check.team_id
    )
