"""The addresses Slack calls, and the three seconds it waits.

https://docs.slack.dev/interactivity/handling-user-interaction#acknowledgment_response
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.adapter.flask import SlackRequestHandler
from slack_bolt.adapter.flask.handler import to_bolt_request, to_flask_response
from slack_sdk.webhook import WebhookClient

from bolt_app.oauth.flow import INSTALL_PATH, REDIRECT_PATH

logger = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"
# Slack gives up after three seconds; the way there and back takes part of them.
DEADLINE_SECONDS = 2.5


def create_blueprint(
    app: App, executor: Executor, *, deadline: float = DEADLINE_SECONDS
) -> Blueprint:
    """Return the blueprint of `/slack/…`.

    Args:
        executor: runs the requests of `/slack/events`.
        deadline: seconds after which a request is acknowledged although it is still being worked
            on; its answer then follows over the request's `response_url`.
    """
    blueprint = Blueprint("slack", __name__)
    handler = SlackRequestHandler(app)

    @blueprint.get(INSTALL_PATH)
    @blueprint.get(REDIRECT_PATH)
    def install() -> Response:
        return handler.handle(request)

    @blueprint.post(EVENTS_PATH)
    def receive() -> Response:
        bolt_request = to_bolt_request(request)
        work = executor.submit(copy_context().run, app.dispatch, bolt_request)
        try:
            return to_flask_response(work.result(timeout=deadline))
        except TimeoutError:
            return _acknowledge_unfinished(bolt_request, work)

    return blueprint


def is_event(body: Mapping[str, Any]) -> bool:
    """Whether a request is an event, which Slack sends again when it is not answered with 200."""
    return body.get("type") == "event_callback"


def _acknowledge_unfinished(bolt_request: BoltRequest, work: Future[BoltResponse]) -> Response:
    logger.warning("a request from Slack takes long")
    if is_event(bolt_request.body):
        # The event is still being worked on: Slack's retry of it finds the receipt, or does it.
        return Response(status=503)
    response_url = bolt_request.body.get("response_url")
    if isinstance(response_url, str) and "command" in bolt_request.body:
        work.add_done_callback(partial(_answer_late, response_url))
    return Response(status=200)


def _answer_late(response_url: str, work: Future[BoltResponse]) -> None:
    """Send what a slash command should have been answered with; it was verified by then."""
    if work.exception() is not None:
        logger.error("a slow request failed", exc_info=work.exception())
        return
    response = work.result()
    if response.status != 200 or not response.body:
        return
    WebhookClient(response_url).send_dict(_message(response.body))


def _message(body: str) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError:
        return {"text": body}
    return message if isinstance(message, dict) else {"text": body}
