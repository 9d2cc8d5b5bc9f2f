"""Text replies to people, in the way that the kind of request allows.

https://docs.slack.dev/interactivity/handling-user-interaction#responses
"""

from __future__ import annotations

import json
import logging
from typing import Any

from slack_bolt import BoltContext, BoltResponse

from bolt_app.blockkit.elements import Reply, info_modal, plain_reply, section
from bolt_app.logs import describe_error
from bolt_app.services import Services
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def respond(
    services: Services, context: BoltContext, body: dict[str, Any], text: str
) -> BoltResponse:
    """Return the response to a request, and show `text` to the person who sent it.

    A command shows it in its response, a submitted modal beside its first input. The response to a
    button is not shown, so the text follows in the background: below the message with the button,
    or in the App Home.
    """
    if body.get("type") == "view_submission":
        return _json(_input_error(body["view"], text))
    if "command" in body:
        return _json({"response_type": "ephemeral", "text": text})
    if isinstance(body.get("response_url"), str):
        respond_privately(services, body["response_url"], text)
    elif (body.get("view") or {}).get("type") == "home":
        update_home(ProfileActions.of(services, context), plain_reply(text))
    return BoltResponse(status=200, body="")


def respond_privately(services: Services, response_url: str, text: str) -> None:
    """Send a message that only the person sees, in the background."""
    services.background.submit(_post, services, response_url, text)


def update_home(requester: ProfileActions, notice: Reply) -> None:
    """Publish a person's App Home in the background, with a notice of the result."""
    requester.services.background.submit(_publish, requester, notice)


def _publish(requester: ProfileActions, notice: Reply) -> None:
    try:
        publish_home(requester, notice)
    except Exception as error:
        logger.warning("an App Home was not published", extra={"error": describe_error(error)})


def _input_error(view: dict[str, Any], text: str) -> dict[str, Any]:
    inputs = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
    if inputs:
        return {"response_action": "errors", "errors": {inputs[0]: text}}
    return {"response_action": "update", "view": info_modal("Bellhop", [section(text)])}


def _post(services: Services, response_url: str, text: str) -> None:
    message = {"response_type": "ephemeral", "replace_original": False, "text": text}
    try:
        services.response_urls.post(response_url, message)
    except SlackCallError as error:
        logger.warning("a reply could not be delivered", extra={"error": error.code})


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(
        status=200,
        body=json.dumps(body),
        headers={"content-type": "application/json; charset=utf-8"},
    )
