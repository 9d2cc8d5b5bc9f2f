"""The addresses Slack calls, and the three seconds it waits.

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
from bolt_app.slack import deferred_responses as late
from bolt_app.slack.request_parsing import MalformedRequestError, parse_request
from bolt_app.slack.response_url import SlackRespond
from bolt_app.slack.signed_actions import may_be_own
from bolt_app.slack.turns import Turns
from bolt_app.slack.verification import RequestVerifier

logger = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"


def create_blueprint(app: App, flow: InstallFlow, services: Services) -> Blueprint:
    """Return the blueprint of `/slack/…`.

    A request that takes longer than `Delays.acknowledgement` is acknowledged although it is still
    being worked on. Its answer then follows: a command's over its `response_url`, a modal's in the
    modal. Buttons show what they do in ways of their own.

    Register it before everything else that reads requests: its check of the signature is then the
    first.
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
        """Verify the signature before the query is parsed and whatever the method is."""
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
        dispatch = partial(_dispatch, app, bolt_request, g.receipt_id)
        work = services.requests.submit(copy_context().run, dispatch)
        try:
            return _response(work.result(timeout=services.settings.delays.acknowledgement))
        except TimeoutError:
            return _acknowledge_unfinished(services, bolt_request, work)

    return blueprint


def _dispatch(app: App, bolt_request: BoltRequest, receipt_id: str) -> BoltResponse:
    # An event has an id of its own, which Slack's retries share and its receipt names.
    is_once = is_event(bolt_request.body)
    with nullcontext() if is_once else answering(receipt_id):
        try:
            return app.dispatch(bolt_request)
        except Exception as error:
            # Errors of listeners are answered; here even that failed, over a body of no known form.
            logger.error("a request could not be answered", exc_info=error)
            return BoltResponse(status=400, body="")


def _request_without_body() -> BoltRequest:
    """Return the request for an address that browsers open.

    Bolt's adapter for Flask parses the body of anybody's GET, and fails over JSON of no known form.
    """
    query = request.query_string.decode("utf-8", "replace")
    return BoltRequest(body="", query=query, headers=dict(request.headers))


def _response(answer: BoltResponse) -> Response:
    headers = [(name, value) for name, values in answer.headers.items() for value in values]
    return Response(answer.body, answer.status, headers)


def _reject(status: int) -> Response:
    """Refuse a request that Slack cannot have sent; of its body no more is read."""
    return Response(status=status, headers={"Connection": "close"})


def _use_slack_respond(services: Services, bolt_request: BoltRequest) -> None:
    """Let `respond()` call Slack alone; Bolt's own calls any address and follows redirects."""
    response_url = bolt_request.context.response_url
    if response_url is not None:
        respond = SlackRespond(services.response_urls, response_url)
        bolt_request.context["respond"] = respond


def is_event(body: Mapping[str, Any]) -> bool:
    """Whether a request is an event, which Slack sends again when it is not answered with 200."""
    return body.get("type") == "event_callback"


def _acknowledge_unfinished(
    services: Services, bolt_request: BoltRequest, work: Future[BoltResponse]
) -> Response:
    logger.warning("a request from Slack takes long")
    body = bolt_request.body
    if is_event(body):
        # The event is still being worked on: Slack's retry of it finds the receipt, or does it.
        return Response(status=503)
    if body.get("type") == "view_submission":
        _when_done(services, work, partial(late.answer_modal, services, bolt_request))
        return jsonify(response_action="update", view=late.waiting_view(late.title_of(body)))
    if "response_url" in body and "command" in body:
        _when_done(services, work, partial(late.answer_command, services, body["response_url"]))
    return Response(status=200)


def _when_done(services: Services, work: Future[BoltResponse], send: Callable[[str], None]) -> None:
    """Send the answer in the background once it is there; the request was verified by then."""

    def answer(work: Future[BoltResponse]) -> None:
        if work.exception() is not None:
            logger.error("a slow request failed", exc_info=work.exception())
        elif work.result().status == 200:
            services.background.submit(send, work.result().body or "")

    work.add_done_callback(answer)
