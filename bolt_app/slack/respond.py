"""One sentence for a person in answer to their request, in the way that its kind allows.

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
    """Return the answer to a request that says `text` to whoever made it.

    A command is answered at once, a submitted modal shows it beside its first input. For what has
    no answer of its own that a person sees it follows in the background: beside the message of the
    button, or in the App Home.
    """
    if body.get("type") == "view_submission":
        return _json(_beside_an_input(body["view"], text))
    if "command" in body:
        return _json({"response_type": "ephemeral", "text": text})
    if isinstance(body.get("response_url"), str):
        respond_privately(services, body["response_url"], text)
    elif (body.get("view") or {}).get("type") == "home":
        update_home(ProfileActions.of(services, context), plain_reply(text))
    return BoltResponse(status=200, body="")


def respond_privately(services: Services, response_url: str, text: str) -> None:
    """Tell a person alone, in the background, beside what the whole channel sees."""
    services.background.submit(_post, services, response_url, text)


def update_home(requester: ProfileActions, notice: Reply) -> None:
    """Publish a person's home in the background, with what was done or why it was not."""
    requester.services.background.submit(_publish, requester, notice)


def _publish(requester: ProfileActions, notice: Reply) -> None:
    try:
        publish_home(requester, notice)
    except Exception as error:
        logger.warning("a home is not published", extra={"error": describe_error(error)})


def _beside_an_input(view: dict[str, Any], text: str) -> dict[str, Any]:
    inputs = [one["block_id"] for one in view["blocks"] if one["type"] == "input"]
    if inputs:
        return {"response_action": "errors", "errors": {inputs[0]: text}}
    return {"response_action": "update", "view": info_modal("Bellhop", [section(text)])}


def _post(services: Services, response_url: str, text: str) -> None:
    message = {"response_type": "ephemeral", "replace_original": False, "text": text}
    try:
        services.response_urls.post(response_url, message)
    except SlackCallError as error:
        logger.warning("a person could not be told", extra={"error": error.code})


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(
        status=200,
        body=json.dumps(body),
        headers={"content-type": "application/json; charset=utf-8"},
    )
