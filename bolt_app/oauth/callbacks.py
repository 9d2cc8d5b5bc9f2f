"""What happens when a person comes back from Slack."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from slack_bolt.oauth.callback_options import CallbackOptions, FailureArgs, SuccessArgs
from slack_bolt.response import BoltResponse

from bolt_app.oauth.failures import InstallFailure, describe_failure, is_known_failure
from bolt_app.oauth.installation_store import SQLAlchemyInstallationStore, StoredInstallation

logger = logging.getLogger(__name__)


class InstallPages(Protocol):
    """What the person gets to see."""

    def installed(self, installation_id: int) -> BoltResponse:
        """Sign the person in and take them to their profile."""

    def failed(self, failure: InstallFailure) -> BoltResponse:
        """Say why it did not work out, with a way on."""


def build_callbacks(
    store: SQLAlchemyInstallationStore,
    pages: InstallPages,
    record: Callable[[StoredInstallation], object],
) -> CallbackOptions:
    """Return the two callbacks of Bolt's OAuth flow.

    Args:
        record: writes the person's profile down. It must not raise for a failure of Slack's: the
            installation stands, and the recording is made up for later.
    """

    def succeed(args: SuccessArgs) -> BoltResponse:
        installation = store.find_stored(
            enterprise_id=args.installation.enterprise_id,
            team_id=args.installation.team_id,
            user_id=args.installation.user_id,
            is_enterprise_install=args.installation.is_enterprise_install,
        )
        if installation is None:  # uninstalled again in this very moment
            return pages.failed(describe_failure("invalid_state"))
        record(installation)
        return pages.installed(installation.id)

    def fail(args: FailureArgs) -> BoltResponse:
        reason = args.reason if is_known_failure(args.reason) else "unknown"
        logger.info("an install failed", extra={"reason": reason})
        return pages.failed(describe_failure(args.reason))

    return CallbackOptions(success=succeed, failure=fail)
