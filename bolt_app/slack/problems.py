"""What people are told when a request of theirs cannot be answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slack_bolt import App, BoltContext, BoltRequest, BoltResponse

from bolt_app.db import DATABASE_DOWN
from bolt_app.oauth.calls import NotInstalledError
from bolt_app.slack.endpoint import is_event
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def register_problem_answers(app: App, public_url: str) -> None:
    """Answer for an installation that does not work, and for errors."""

    @app.use
    def require_installation(
        req: BoltRequest, context: BoltContext, next: Callable[[], BoltResponse]
    ) -> BoltResponse:
        problem = context.get("installation_problem")
        if problem is None or is_event(req.body):
            return next()
        return _tell(
            "Bellhop's installation in this workspace does not work any more. "
            f"<{public_url}/|Add Bellhop to Slack again>, and it goes on where it was."
        )

    @app.error
    def answer_error(error: Exception, req: BoltRequest, body: dict[str, Any]) -> BoltResponse:
        if not isinstance(error, (SlackCallError, NotInstalledError, *DATABASE_DOWN)):
            logger.error("a listener failed", exc_info=error)
        else:
            logger.warning("a request could not be answered", extra={"error": str(error)[:200]})
        if is_event(body):
            # Slack sends the event again; its receipt was not written either.
            return BoltResponse(status=503, body="")
        return _tell(describe_problem(error))


def describe_problem(error: Exception) -> str:
    """Return what to tell a person of `error`."""
    if isinstance(error, SlackCallError):
        return error.sentence
    if isinstance(error, NotInstalledError):
        return str(error)
    if isinstance(error, DATABASE_DOWN):
        return "Bellhop's database is not answering. Try again in a minute."
    return "Something went wrong in Bellhop, and whoever runs it can see it in the log."


def _tell(text: str) -> BoltResponse:
    return BoltResponse(
        status=200,
        body={"response_type": "ephemeral", "text": text},
        headers={"content-type": ["application/json; charset=utf-8"]},
    )
