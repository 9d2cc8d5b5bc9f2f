"""Reports about installations, verified with Slack before they take effect.

Slack retries an event for minutes, and longer after an outage: the report of an uninstall may
arrive after Bellhop is installed again. Only Slack knows whether a token is valid.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from bolt_app.clock import Clock, utc_now
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import InstallationCheck
from bolt_app.installations.checks import CheckKind
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.lifecycle.installations import InstallationLifecycle
from bolt_app.lifecycle.served_workspaces import ServedWorkspaces
from bolt_app.logs import describe_error
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
        workspaces: ServedWorkspaces,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._directory = directory
        self._client = client
        self._lifecycle = lifecycle
        self._workspaces = workspaces
        self._clock = clock
        # Serializes runs of one process, which would otherwise ask Slack twice.
        self._lock = threading.Lock()
        # Guards the run that has not begun, if there is one.
        self._queue_lock = threading.Lock()
        self._queued: Future[tuple[int, list[SlackCallError]]] | None = None

    def run_periodically(self) -> tuple[int, list[SlackCallError]]:
        """Request the checks that are due without a report, and verify all pending ones."""
        self._lifecycle.request_due_checks()
        return self.run()

    def run(self) -> tuple[int, list[SlackCallError]]:
        """Verify every pending report with Slack. Repeating it is harmless.

        Returns: the number of settled reports, and Slack's errors about others. A report whose
            token cannot be read, or which met an error of the database, is logged; the next run
            verifies it again.
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
            try:
                return self._run()
            except Exception as error:
                # Perhaps nobody waits for the result.
                extra = {"error": describe_error(error)}
                logger.warning("installations could not be checked", extra=extra)
                raise

    def _run(self) -> tuple[int, list[SlackCallError]]:
        settled = 0
        errors: list[SlackCallError] = []
        kept: set[int] = set()
        # The effect of a check may request others.
        while pending := [one for one in self._lifecycle.pending_checks() if one.id not in kept]:
            listings: dict[str, Listing] = {}
            for check in pending:
                is_settled = self._try_check(check, listings, errors)
                settled += is_settled
                kept.update(() if is_settled else [check.id])
            # Rejects API keys and webhooks of a removed installation from now on.
            self._client.forget_workspace(None)
        return settled, errors

    def _try_check(
        self, check: InstallationCheck, listings: dict[str, Listing], errors: list[SlackCallError]
    ) -> bool:
        """Verify a check; return whether it is settled, otherwise it is verified again later."""
        try:
            if check.kind not in (CheckKind.INSTALLATION, CheckKind.BOT, CheckKind.USER):
                return self._check_workspaces(check, listings)
            self._check_tokens(check)
        except SlackCallError as error:
            logger.warning("an installation could not be checked", extra={"code": error.code})
            errors.append(error)
            return False
        except DecryptionError:
            # It is verified once the key is back; those of others are verified now.
            logger.warning("a token cannot be read", extra={"check": check.id})
            return False
        except SQLAlchemyError as error:
            # Such as a row that was locked for too long.
            extra = {"check": check.id, "error": describe_error(error)}
            logger.warning("a check of an installation is to be repeated", extra=extra)
            return False
        return True

    def _check_tokens(self, check: InstallationCheck) -> None:
        unreadable: list[str] = []
        identity, asked_at = None, self._clock()
        if check.kind == CheckKind.USER:
            is_readable = self._verify_user(check, check.user_id)
        else:
            identity, is_readable = self._verify_bot(check)
            if check.kind == CheckKind.INSTALLATION and identity is None:
                people = sorted(self._lifecycle.people_since(check))
                unreadable = [one for one in people if not self._verify_user(check, one)]
        self._lifecycle.apply_tokens(
            check,
            identity,
            asked_at=asked_at,
            is_unreadable=not is_readable,
            unreadable=unreadable,
        )

    def _verify_bot(self, check: InstallationCheck) -> tuple[Mapping[str, Any] | None, bool]:
        """Return Slack's answer about a bot's token, and whether it could be decrypted."""
        try:
            return self._client.verify_bot(_workspace_of(check)), True
        except DecryptionError:
            logger.warning("a revoked token cannot be read", extra={"check": check.id})
            return None, False

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

    def _check_workspaces(self, check: InstallationCheck, listings: dict[str, Listing]) -> bool:
        """Find the workspaces that an organization's installation serves.

        https://docs.slack.dev/reference/methods/auth.teams.list

        Args:
            listings: Slack's answers since the checks were read, by organization; one answers all.

        Returns: whether the check is settled.
        """
        try:
            listing = listings.get(check.enterprise_id)
            if listing is None:
                asked_at = self._clock()
                listing = Listing(asked_at, self._client.workspaces_of(check.enterprise_id))
                listings[check.enterprise_id] = listing
        except NotInstalledError:
            self._workspaces.drop(check)
            return True
        except SlackCallError as error:
            if not error.is_dead_token:
                raise
            self._workspaces.drop(check, is_rejected=True)
            return True
        return self._workspaces.apply(check, listing.teams, listed_at=listing.asked_at)


def _workspace_of(check: InstallationCheck) -> BotWorkspace:
    return BotWorkspace(
        check.enterprise_id or None, check.team_id, is_enterprise_install=not check.team_id
    )
