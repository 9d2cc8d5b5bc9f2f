"""The Slack-compatible Web API, `/api/<method>`: Slack's methods with an API key as the token.

https://docs.slack.dev/apis/web-api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge

from bolt_app.notifications.messages.errors import MessageNotFoundError
from bolt_app.services import Services
from bolt_app.slack_api import OVERLOADED, SlackCallError
from bolt_app.web.errors import BUSY_SECONDS, RETRY_SECONDS, answer_without_database
from bolt_app.web.methods import (
    chat,
    conversations,
    ephemeral,
    files,
    identity,
    reactions,
    users,
)
from bolt_app.web.methods.arguments import read_arguments
from bolt_app.web.methods.auth import bearer_token, charge, read_unverified, require_key
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.errors import MethodError, OverloadError
from bolt_app.workspaces.client import NotInstalledError

METHODS_PATH = "/api/"
# Longer than the name of any method.
NAME_LENGTH = 100
# Anyone may call api.test.
MAX_TEST_BYTES = 16 * 1024
_HTTP_METHODS = ["GET", "POST"]
METHODS: Mapping[str, Method] = {
    **identity.METHODS,
    **chat.METHODS,
    **ephemeral.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **reactions.METHODS,
    **users.METHODS,
}


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the Slack-compatible Web API."""
    blueprint = Blueprint("methods", __name__)

    @blueprint.route(f"{METHODS_PATH}<name>", methods=_HTTP_METHODS)
    def call(name: str) -> Response:
        if "." not in name:
            abort(404)
        if request.method == "HEAD":
            # Werkzeug allows it with GET, which has the effects of the method.
            raise MethodNotAllowed(_HTTP_METHODS)
        return jsonify({"ok": True, **_run(services, name)})

    blueprint.register_error_handler(MethodError, _answer_error)
    blueprint.register_error_handler(OverloadError, _answer_overload)
    blueprint.register_error_handler(SlackCallError, _answer_slack_error)
    blueprint.register_error_handler(NotInstalledError, _answer_not_installed)
    blueprint.register_error_handler(RequestEntityTooLarge, _answer_too_large)
    blueprint.register_error_handler(MessageNotFoundError, _answer_message_not_found)
    answer_without_database(blueprint, lambda: _failed("service_unavailable", 503))
    return blueprint


def _run(services: Services, name: str) -> Answer:
    """Run a method; return the members of its answer beside `ok`.

    A token in a header is checked before the body is read, and one in the body before anything
    else there is. The key is charged afterwards, which includes checking it again: the client may
    have taken a minute to send the body.

    Raises:
        RequestEntityTooLarge: the body is too large.
    """
    method = METHODS.get(name)
    if name == identity.API_TEST:
        request.max_content_length = MAX_TEST_BYTES
        return identity.api_test(read_arguments().checked())
    if method is None:
        raise MethodError("unknown_method", req_method=name[:NAME_LENGTH])
    token, given = bearer_token(), None
    if not token:
        given = read_unverified(services)
        token = given.token
    key = require_key(services, token, method.scope, is_fresh=not method.charges)
    is_charged = False
    try:
        call = Call(services, key, (given or read_arguments()).checked())
        if not method.charges:
            is_charged = True
            charge(services, key)
        return method.run(call)
    except (MessageNotFoundError, MethodError, RequestEntityTooLarge, SlackCallError) as error:
        if not (is_charged or getattr(error, "is_charged", False)):
            # A rejected call counts too.
            charge(services, key)
        raise


def _failed(code: str, status: int = 200, **members: Any) -> Response:
    response = jsonify({"ok": False, "error": code, **members})
    response.status_code = status
    return response


def _answer_error(error: MethodError) -> Response:
    return _failed(error.code, **error.members)


def _answer_overload(error: OverloadError) -> Response:
    response = _failed("service_unavailable", 503)
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def _answer_slack_error(error: SlackCallError) -> Response:
    """Answer a lookup that Slack refused or did not answer, or that found no room."""
    if error.is_dead_token:
        return _failed("account_inactive")
    if error.is_permanent:
        return _failed(error.code)
    seconds = BUSY_SECONDS if error.code == OVERLOADED else error.retry_after or RETRY_SECONDS
    return _answer_overload(OverloadError(seconds))


def _answer_not_installed(_error: NotInstalledError) -> Response:
    return _failed("account_inactive")


def _answer_message_not_found(_error: MessageNotFoundError) -> Response:
    return _failed("message_not_found")


def _answer_too_large(_error: RequestEntityTooLarge) -> Response:
    return _failed("request_too_large", 413)
