"""Callbacks of the OAuth flow: the answers to a person who returns from Slack."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Protocol

from slack_bolt.oauth.callback_options import CallbackOptions, FailureArgs, SuccessArgs
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse

from bolt_app.installations.directory import InstallationDirectory
from bolt_app.installations.errors import InstallFailure, describe_failure, is_known_failure
from bolt_app.installations.install_grant import GRANT, InstallGrant
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.state import StateStore

logger = logging.getLogger(__name__)

_CODE = re.compile(r"[a-z0-9_]{1,64}")


class InstallPages(Protocol):
    """The pages that end an install."""

    def installed(self, installation_id: int, state: str, *, has_installed: bool) -> BoltResponse:
        """Sign the person in and take them to their profile.

        Args:
            has_installed: whether they installed the bot, and did not link their profile alone.
        """

    def failed(
        self, failure: InstallFailure, state: str, start_again: Mapping[str, str]
    ) -> BoltResponse:
        """Explain why the install failed, with a link to start again.

        Args:
            start_again: the query of the install URL that starts the same attempt again.
        """


class InstalledSteps(Protocol):
    """The steps after an install. They must not raise for failures of Slack or the database."""

    def record(self, installation: StoredInstallation) -> None:
        """Store the person's profile, now or later."""

    def welcome(self, installation: StoredInstallation) -> None:
        """Greet the person who installed the bot in a workspace for the first time."""


def build_callbacks(
    directory: InstallationDirectory,
    states: StateStore,
    pages: InstallPages,
    steps: InstalledSteps,
) -> CallbackOptions:
    """Return the two callbacks of Bolt's OAuth flow."""

    def succeed(args: SuccessArgs) -> BoltResponse:
        installation = directory.find(
            enterprise_id=args.installation.enterprise_id,
            team_id=args.installation.team_id,
            user_id=args.installation.user_id,
            is_enterprise_install=args.installation.is_enterprise_install,
        )
        if installation is None:  # uninstalled in the meantime
            return show_failure("invalid_state", args.request)
        steps.record(installation)
        grant = args.request.context[GRANT]
        if grant is InstallGrant.NEW_BOT:
            steps.welcome(installation)
        has_installed = grant is not InstallGrant.PROFILE
        state = _state_of(args.request)
        return pages.installed(installation.id, state, has_installed=has_installed)

    def fail(args: FailureArgs) -> BoltResponse:
        # The reason may be any text, since it comes from the URL.
        reason = args.reason if is_known_failure(args.reason) else "unknown"
        logger.info("an install failed", extra={"reason": reason})
        return show_failure(reason, args.request)

    def show_failure(reason: str, request: BoltRequest) -> BoltResponse:
        state = _state_of(request)
        attempt = states.read(state)
        query = {} if attempt is None else attempt.query
        return pages.failed(describe_failure(reason, is_sign_in="only" in query), state, query)

    return CallbackOptions(success=succeed, failure=fail)


def _state_of(request: BoltRequest) -> str:
    return next(iter(request.query.get("state") or ()), "")
