"""What people are told when a request of theirs cannot be answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slack_bolt import App, BoltContext, BoltRequest, BoltResponse

from bolt_app.db import DATABASE_DOWN
from bolt_app.db.receipts import ReplayedRequestError
from bolt_app.logs import describe_error
from bolt_app.oauth.calls import NotInstalledError
from bolt_app.services import Services
from bolt_app.slack.endpoint import is_event
from bolt_app.slack.roles import StrangerError, is_stranger
from bolt_app.slack.telling import tell
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def register_problem_answers(app: App, services: Services) -> None:
    """Answer for an installation that does not work, for strangers, and for errors."""

    @app.use
    def require_installation(
        req: BoltRequest,
        context: BoltContext,
        body: dict[str, Any],
        next: Callable[[], BoltResponse],
    ) -> BoltResponse:
        problem = context.get("installation_problem")
        if problem is None or is_event(req.body):
            return next()
        return tell(
            services,
            context,
            body,
            "Bellhop's installation in this workspace does not work any more. "
            f"<{services.settings.public_url}/|Add Bellhop to Slack again>, and it goes on where "
            "it was.",
        )

    @app.use
    def refuse_strangers(
        context: BoltContext, body: dict[str, Any], next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        if _may_be_stranger(context, body) and is_stranger(
            services, context.team_id or "", context.user_id or ""
        ):
            return tell(services, context, body, str(StrangerError()))
        return next()

    @app.error
    def answer_error(error: Exception, context: BoltContext, body: dict[str, Any]) -> BoltResponse:
        if isinstance(error, ReplayedRequestError):
            logger.warning("a signed request came a second time, and was ignored")
            return BoltResponse(status=200, body="")
        if not isinstance(error, (SlackCallError, NotInstalledError, *DATABASE_DOWN)):
            logger.error("a listener failed", exc_info=error)
        else:
            logger.warning(
                "a request could not be answered", extra={"error": describe_error(error)}
            )
        if is_event(body):
            # Slack sends the event again; its receipt was not written either.
            return BoltResponse(status=503, body="")
        return tell(services, context, body, describe_problem(error))


def _may_be_stranger(context: BoltContext, body: dict[str, Any]) -> bool:
    """Whether an interaction comes from another workspace than the one that is served.

    https://docs.slack.dev/apis/slack-connect: it may be one of the same organisation.
    """
    user = body.get("user")
    return isinstance(user, dict) and user.get("team_id") not in (None, context.team_id)


def describe_problem(error: Exception) -> str:
    """Return what to tell a person of `error`."""
    if isinstance(error, SlackCallError):
        return error.sentence
    if isinstance(error, NotInstalledError):
        return str(error)
    if isinstance(error, DATABASE_DOWN):
        return "Bellhop's database is not answering. Try again in a minute."
    return "Something went wrong in Bellhop, and whoever runs it can see it in the log."
