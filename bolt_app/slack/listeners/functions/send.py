"""The workflow step “Send a notification”.

https://docs.slack.dev/tools/bolt-python/concepts/custom-steps
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from slack_bolt import App, BoltContext

from bolt_app.credentials.sources import SourceKind
from bolt_app.db.receipts import RECEIPT_LIFETIME
from bolt_app.notifications.content.errors import problems_of
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.schema import NotificationRequest, read_one
from bolt_app.notifications.intake.sender import Sender
from bolt_app.recent_answers import RecentAnswers
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.listeners.events.origin import origin_of
from bolt_app.slack_api import SlackCallError
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.text_forms import lowered
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

_CHANNEL = re.compile(r"[CG][A-Z0-9]{7,63}")
# Per workspace and process, because a workflow has no API key with limits.
MOST_A_MINUTE = 100
MOST_REMEMBERED = 10_000
UNINSTALLED = (
    "The notification was not sent. Bellhop was uninstalled from this workspace, or Slack "
    "rejects its token. Add it to Slack again."
)


class StepError(Exception):
    """The step failed; the message is shown to the author of the workflow."""


def register_send_step(app: App, services: Services) -> None:
    """Register the step (https://docs.slack.dev/reference/events/function_executed).

    The step is complete when the notification is accepted. Slack retries the event of an execution;
    its id is the idempotency key, so it creates one notification.
    """

    limit = SlidingLimit(MOST_A_MINUTE, timedelta(minutes=1), clock=services.clock)
    # Executions that Slack may send again, exempt from the limit.
    accepted: RecentAnswers[str, bool] = RecentAnswers(
        RECEIPT_LIFETIME, MOST_REMEMBERED, services.clock
    )

    @app.function(ids.SEND_STEP)
    def send(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        team_id, execution_id = context.team_id or "", event["function_execution_id"]
        is_outdated = services.lifecycle.events.is_of_earlier_install(origin_of(body, context))
        if is_outdated or not _is_installed(team_id, context):
            # Nothing is stored: the next installation would send it too late.
            _fail_uninstalled(event)
            return
        try:
            request = _read(event["inputs"])
            if accepted.find(execution_id) is None and limit.take(team_id):
                raise StepError(
                    "The notification was not sent. Workflows have sent more than "
                    f"{MOST_A_MINUTE} within a minute."
                )
        except StepError as error:
            _end(team_id, "functions.completeError", execution_id, error=str(error))
            return
        try:
            submitted = services.intake.submit(
                Sender(team_id, SourceKind.WORKFLOW), [request], idempotency_key=execution_id
            )
        except NotInstalledError:
            _fail_uninstalled(event)
            return
        accepted.ask(execution_id, lambda: True)
        id_ = submitted.notifications[0].id
        # Slack does not name the workflow. The execution id identifies it there.
        execution = {"notification": id_, "execution": event.get("workflow_execution_id")}
        logger.info("a workflow sent a notification", extra={"team_id": team_id, **execution})
        page = page_url(services.settings.public_url, id_)
        outputs = {"notification_id": id_, "page_url": page}
        _end(team_id, "functions.completeSuccess", execution_id, outputs=outputs)

    def _is_installed(team_id: str, context: BoltContext) -> bool:
        """Whether the bot is installed in the workspace, so that it can complete the step."""
        if "installation_problem" in context:
            return False
        try:
            services.client.find_workspace(team_id)
        except NotInstalledError:
            return False
        return True

    def _fail_uninstalled(event: Mapping[str, Any]) -> None:
        """Fail a step, with the token that Slack provides for this execution only."""
        arguments = {"function_execution_id": event["function_execution_id"], "error": UNINSTALLED}
        token = str(event.get("bot_access_token") or "")
        try:
            services.client.as_function(token, "functions.completeError", **arguments)
        except SlackCallError as error:
            logger.info("a step could not be completed", extra={"error": error.code})

    def _read(inputs: Mapping[str, Any]) -> NotificationRequest:
        content = {name: inputs[name] for name in ("title", "text", "severity") if inputs.get(name)}
        try:
            return read_one({"to": _recipients(inputs), **content}, services.clock())
        except ValidationError as error:
            problems = "; ".join(
                f"{problem.field} {problem.detail}" for problem in problems_of(error)
            )
            raise StepError(f"The notification was not sent: {problems}.") from None

    def _end(team_id: str, method: str, execution_id: str, **more: Any) -> None:
        workspace = services.client.find_workspace(team_id)
        try:
            services.client.as_bot(workspace, method, function_execution_id=execution_id, **more)
        except SlackCallError as error:
            if not error.is_permanent:
                raise
            # The step was already completed, or the workflow was stopped.
            logger.info("a step could not be completed", extra={"error": error.code})


def _recipients(inputs: Mapping[str, Any]) -> list[str]:
    topic = lowered(str(inputs.get("topic") or "")).removeprefix("topic:")
    channel = inputs.get("channel")
    # A variable of the workflow may hold anything, such as a person or an e-mail address.
    if channel and not (isinstance(channel, str) and _CHANNEL.fullmatch(channel)):
        raise StepError(
            "The notification was not sent: channel is not a channel id. Choose a channel."
        )
    to = [*([channel] if channel else []), *([f"topic:{topic}"] if topic else [])]
    if not to:
        raise StepError("The notification was not sent. Choose a channel or a topic.")
    return to
