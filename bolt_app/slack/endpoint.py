"""The URLs that Slack calls, and its three-second deadline.

https://docs.slack.dev/interactivity/handling-user-interaction#acknowledgment_response
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from slack_bolt import App, BoltRequest, BoltResponse
from werkzeug.exceptions import RequestEntityTooLarge

from bolt_app.db.receipts import answering
from bolt_app.installations.flow import INSTALL_PATH, REDIRECT_PATH, InstallFlow
from bolt_app.services import Services
from bolt_app.slack import deferred_responses
from bolt_app.slack.errors import MalformedRequestError
from bolt_app.slack.request_parsing import parse_request
from bolt_app.slack.response_url import SlackRespond
from bolt_app.slack.signed_actions import may_be_own
from bolt_app.slack.turns import Turns
from bolt_app.slack.verification import RequestVerifier

logger = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"


def create_blueprint(app: App, flow: InstallFlow, services: Services) -> Blueprint:
    """Return the blueprint of `/slack/…`.

    A request that takes longer than `Delays.acknowledgement` is acknowledged before it is done. Its
    response follows: for a command over its `response_url`, for a modal in the modal. Buttons need
    none, because their listeners update the message or the App Home.

    Register it before everything else that reads requests, so that its signature check runs first.
    """
    blueprint = Blueprint("slack", __name__)
    verifier = RequestVerifier(services.settings.slack_signing_secret, clock=services.clock)
    turns = Turns()

    @blueprint.get(INSTALL_PATH)
    def install() -> Response:
        return _response(flow.handle_installation(_request_without_body()))

    @blueprint.get(REDIRECT_PATH)
    def finish_install() -> Response:
        return _response(flow.handle_callback(_request_without_body()))

    @blueprint.before_app_request
    def require_signature() -> Response | None:
        """Verify the signature before the query is parsed, for every HTTP method."""
        if request.path != EVENTS_PATH:
            return None
        headers = verifier.read_headers(request.headers)
        if headers is None:
            return _reject(401)
        try:
            body = request.get_data()
        except RequestEntityTooLarge:
            return _reject(413)
        if not verifier.verify(headers, body):
            return _reject(401)
        g.receipt_id = headers.receipt_id
        return None

    @blueprint.post(EVENTS_PATH)
    def receive() -> Response:
        with turns.turn():
            return answer_verified()

    def answer_verified() -> Response:
        try:
            bolt_request = parse_request(request.get_data(), services.signer)
            is_own = may_be_own(bolt_request.body)
        except MalformedRequestError:
            return _reject(400)
        if not is_own:
            return Response(status=200)
        _use_slack_respond(services, bolt_request)
        dispatch = partial(_dispatch, app, services, bolt_request, g.receipt_id)
        work = services.requests.submit(copy_context().run, dispatch)
        try:
            return _response(work.result(timeout=services.settings.delays.acknowledgement))
        except TimeoutError:
            return _acknowledge_unfinished(services, bolt_request, work)

    return blueprint


def _dispatch(
    app: App, services: Services, bolt_request: BoltRequest, receipt_id: str
) -> BoltResponse:
    # An event's receipt uses the event id, which Slack's retries share.
    is_once = is_event(bolt_request.body)
    answer = answering(receipt_id, services.client.keep_installed)
    with services.slack_waits.serving(), nullcontext() if is_once else answer:
        try:
            return app.dispatch(bolt_request)
        except Exception as error:
            # Errors of listeners get a reply; here the reply failed too, on a body of unknown form.
            logger.error("a request could not be answered", exc_info=error)
            return BoltResponse(status=400, body="")


def _request_without_body() -> BoltRequest:
    """Return the Bolt request for a page that browsers open.

    Bolt's adapter for Flask parses the body of every GET, and fails on JSON of unknown form.
    """
    query = request.query_string.decode("utf-8", "replace")
    return BoltRequest(body="", query=query, headers=dict(request.headers))


def _response(response: BoltResponse) -> Response:
    headers = [(name, value) for name, values in response.headers.items() for value in values]
    return Response(response.body, response.status, headers)


def _reject(status: int) -> Response:
    """Reject a request that Slack cannot have sent, without reading the rest of its body."""
    return Response(status=status, headers={"Connection": "close"})


def _use_slack_respond(services: Services, bolt_request: BoltRequest) -> None:
    """Limit `respond()` to Slack; Bolt's version calls any URL and follows redirects."""
    response_url = bolt_request.context.response_url
    if response_url is not None:
        respond = SlackRespond(services.response_urls, response_url)
        bolt_request.context["respond"] = respond


def is_event(body: Mapping[str, Any]) -> bool:
    """Whether a request is an event, which Slack retries unless the response is 200."""
    return body.get("type") == "event_callback"


def _acknowledge_unfinished(
    services: Services, bolt_request: BoltRequest, work: Future[BoltResponse]
) -> Response:
    logger.warning("a request from Slack is taking long")
    body = bolt_request.body
    if is_event(body):
        # The event is still being processed. Slack's retry finds its receipt or processes it again.
        return Response(status=503)
    if body.get("type") == "view_submission":
        _when_done(
            services, work, partial(deferred_responses.respond_to_modal, services, bolt_request)
        )
        waiting = deferred_responses.waiting_view(deferred_responses.title_of(body))
        return jsonify(response_action="update", view=waiting)
    if "response_url" in body and "command" in body:
        _when_done(
            services,
            work,
            partial(deferred_responses.respond_to_command, services, body["response_url"]),
        )
    return Response(status=200)


def _when_done(services: Services, work: Future[BoltResponse], send: Callable[[str], None]) -> None:
    """Send the response in the background when the work is done."""

    def respond(work: Future[BoltResponse]) -> None:
        if work.exception() is not None:
            logger.error("a slow request failed", exc_info=work.exception())
        elif work.result().status == 200:
            services.background.submit(send, work.result().body or "")

    work.add_done_callback(respond)
