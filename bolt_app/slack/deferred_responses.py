"""Responses sent after Slack's three-second deadline.

https://docs.slack.dev/interactivity/handling-user-interaction#acknowledgment_response
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from slack_bolt import BoltRequest

from bolt_app.blockkit.elements import Block, info_modal, section
from bolt_app.services import Services
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)

# Slack must show the waiting view before it can be replaced.
SETTLING_SECONDS = 1.0
MOST_TRIES = 4


def waiting_view(title: str) -> Block:
    """Return the view shown while a submitted modal is still being processed."""
    text = "This is taking longer than usual. Keep this open: the result appears here."
    return info_modal(title, [section(f":hourglass_flowing_sand: {text}")])


def title_of(body: Mapping[str, Any]) -> str:
    """Return the title of a submitted modal."""
    return str(body["view"]["title"]["text"])


def respond_to_command(services: Services, response_url: object, text: str) -> None:
    """Send the response of a slash command, if it has one."""
    if not text:
        return
    message = _parsed(text) or {"text": text}
    try:
        services.response_urls.post(response_url, message)
    except SlackCallError as error:
        logger.warning("a deferred response was not delivered", extra={"error": error.code})


def respond_to_modal(services: Services, request: BoltRequest, text: str) -> None:
    """Replace the waiting view with the response of the modal.

    https://docs.slack.dev/reference/methods/views.update

    Args:
        request: the submission, whose workspace Bolt has resolved by now.
        text: the body of the response. A secret in it is sent only to the modal.
    """
    view = _view_of(title_of(request.body), text)
    time.sleep(SETTLING_SECONDS)
    for number in range(1, MOST_TRIES + 1):
        try:
            _update(services, request, view)
        except SlackCallError as error:
            if error.is_permanent or number == MOST_TRIES:
                logger.warning("a deferred response was not delivered", extra={"error": error.code})
                return
            time.sleep(max(number, error.retry_after or 0))
        else:
            return


def _update(services: Services, request: BoltRequest, view: Block) -> None:
    workspace = services.client.find_workspace(request.context.team_id or "")
    view_id = request.body["view"]["id"]
    services.client.as_bot(workspace, "views.update", view_id=view_id, view=view)


def _view_of(title: str, text: str) -> Block:
    response = _parsed(text)
    if response.get("response_action") == "update":
        view: Block = response["view"]
        return view
    if response.get("response_action") == "errors":
        reasons = "\n".join(response["errors"].values())
        return info_modal(title, [section(f"{reasons}\nClose this and try again.")])
    return info_modal(title, [section("Done. You can close this.")])


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
