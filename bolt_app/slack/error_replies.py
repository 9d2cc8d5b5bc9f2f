"""Replies to people whose request failed or is not allowed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from slack_bolt import App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.middleware import Middleware

from bolt_app.access.authorization import AccessDeniedError
from bolt_app.blockkit.signed_values import OutdatedError
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.db.receipts import ReplayedRequestError
from bolt_app.logs import describe_error
from bolt_app.services import Services
from bolt_app.slack.endpoint import is_event
from bolt_app.slack.rejected_values import RejectedValues
from bolt_app.slack.respond import respond
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError

logger = logging.getLogger(__name__)

_EXPECTED = (SlackCallError, NotInstalledError, *DATABASE_UNAVAILABLE)


def register_error_replies(app: App, services: Services, rejected: RejectedValues) -> None:
    """Reply for broken installations, unauthorized people and errors."""

    app.use(_RequireUse(services))

    @app.error
    def reply_to_error(
        error: Exception, context: BoltContext, body: dict[str, Any]
    ) -> BoltResponse:
        if isinstance(error, ReplayedRequestError):
            logger.warning("a replayed request was ignored")
            return BoltResponse(status=200, body="")
        if isinstance(error, AccessDeniedError):
            logger.info("a person is not allowed to do that", extra={"error": type(error).__name__})
        elif isinstance(error, OutdatedError):
            rejected.log(context)
        elif not isinstance(error, _EXPECTED):
            logger.error("a listener failed", exc_info=error)
        else:
            logger.warning(
                "a request could not be answered", extra={"error": describe_error(error)}
            )
        if is_event(body):
            # Slack retries the event, whose receipt was not written.
            return BoltResponse(status=503, body="")
        return respond(services, context, body, describe_problem(error))


class _RequireUse(Middleware):
    """Middleware that passes a person's request if they may use Bellhop and it is installed.

    It is a class because Bolt builds every possible argument for a function, on each request.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def process(
        self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        """Pass the request on, or reply with the reason why not."""
        if not is_of_person(req.body):
            return next()
        context = req.context
        if "installation_problem" in context:
            text = (
                "Bellhop's installation in this workspace no longer works. "
                f"<{self._services.settings.public_url}/|Add Bellhop to Slack again> to continue "
                "where it stopped."
            )
            return respond(self._services, context, req.body, text)
        try:
            self._services.access.require_use(
                _workspace_of(context), context.user_id or "", context.get("is_deactivated")
            )
        except AccessDeniedError as error:
            return respond(self._services, context, req.body, str(error))
        return next()


def _workspace_of(context: BoltContext) -> BotWorkspace:
    is_enterprise_install = bool(context.is_enterprise_install)
    return BotWorkspace(context.enterprise_id, context.team_id or "", is_enterprise_install)


def is_of_person(body: Mapping[str, Any]) -> bool:
    """Whether a person waits for the response: commands and interactions, not events."""
    return not is_event(body)


def describe_problem(error: Exception) -> str:
    """Return the description of `error` for a person."""
    if isinstance(error, AccessDeniedError):
        return str(error)
    if isinstance(error, SlackCallError):
        return error.sentence
    if isinstance(error, (NotInstalledError, OutdatedError)):
        return str(error)
    if isinstance(error, DATABASE_UNAVAILABLE):
        return "Bellhop's database is not answering. Try again in a minute."
    return "Something went wrong in Bellhop. Your administrator can find the cause in the log."
