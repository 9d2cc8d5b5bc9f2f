"""What happens when a person comes back from Slack."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from slack_bolt.oauth.callback_options import CallbackOptions, FailureArgs, SuccessArgs
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse

from bolt_app.installations.errors import InstallFailure, describe_failure, is_known_failure
from bolt_app.installations.install_grant import GRANT, InstallGrant
from bolt_app.installations.state import StateStore
from bolt_app.installations.store import Installations, StoredInstallation

logger = logging.getLogger(__name__)

_CODE = re.compile(r"[a-z0-9_]{1,64}")


class InstallPages(Protocol):
    """What the person gets to see."""

    def installed(self, installation_id: int, state: str, *, has_installed: bool) -> BoltResponse:
        """Sign the person in and take them to their profile.

        Args:
            has_installed: whether they installed the bot, and did not link their profile alone.
        """

    def failed(
        self, failure: InstallFailure, state: str, start_again: Mapping[str, str]
    ) -> BoltResponse:
        """Say why it did not work out, with a link to start again.

        Args:
            start_again: the query of the install address that begins the same attempt again.
        """


def build_callbacks(
    store: Installations,
    states: StateStore,
    pages: InstallPages,
    record: Callable[[StoredInstallation], object],
    welcome: Callable[[StoredInstallation], object],
) -> CallbackOptions:
    """Return the two callbacks of Bolt's OAuth flow.

    Args:
        record: writes the person's profile down. It must not raise for a failure of Slack's: the
            installation stands, and the recording is made up for later.
        welcome: greets the person who made the bot new in its workspace. It must not raise for a
            failure of Slack's either.
    """

    def succeed(args: SuccessArgs) -> BoltResponse:
        installation = store.find_stored(
            enterprise_id=args.installation.enterprise_id,
            team_id=args.installation.team_id,
            user_id=args.installation.user_id,
            is_enterprise_install=args.installation.is_enterprise_install,
        )
        if installation is None:  # uninstalled again in this very moment
            return show_failure("invalid_state", args.request)
        record(installation)
        grant = args.request.context[GRANT]
        if grant is InstallGrant.NEW_BOT:
            welcome(installation)
        has_installed = grant is not InstallGrant.PROFILE
        state = _state_of(args.request)
        return pages.installed(installation.id, state, has_installed=has_installed)

    def fail(args: FailureArgs) -> BoltResponse:
        # The reason may be any text that someone wrote into an address.
        reason = args.reason if is_known_failure(args.reason) else "unknown"
        logger.info("an install failed", extra={"reason": reason})
        return show_failure(reason, args.request)

    def show_failure(reason: str, request: BoltRequest) -> BoltResponse:
        state = _state_of(request)
        attempt = states.read(state)
        return pages.failed(
            describe_failure(reason), state, {} if attempt is None else attempt.query
        )

    return CallbackOptions(success=succeed, failure=fail)


def _state_of(request: BoltRequest) -> str:
    return next(iter(request.query.get("state") or ()), "")
