"""Control over HTTP, for other processes and for the client's pages.

Everything is JSON below ``/sandbox/``. A page of another origin can neither read nor post: bodies
must be ``application/json``, for which a browser requires permission.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from slack_sandbox.faults import Fault
from slack_sandbox.sandbox import Sandbox

_LAST_CALLS = 50


def create_control(sandbox: Sandbox) -> Blueprint:
    """The blueprint of ``/sandbox/``."""
    control = Blueprint("sandbox_control", __name__, url_prefix="/sandbox")

    def faults() -> Response:
        return jsonify(faults=[vars(fault) for fault in sandbox.faults.all()])

    @control.post("/faults")
    def add_fault() -> Response:
        try:
            sandbox.faults.add(Fault(**_body()))
        except (TypeError, ValueError) as error:
            raise BadRequest(str(error)) from None
        return faults()

    @control.delete("/faults")
    def clear_faults() -> Response:
        sandbox.faults.clear()
        return faults()

    @control.get("/calls")
    def list_calls() -> Response:
        last = sandbox.call_log.last(request.args.get("last", _LAST_CALLS, type=int))
        return jsonify(
            total=len(sandbox.call_log),
            counts=sandbox.call_log.counts(),
            last=[call.summary() for call in last],
        )

    @control.errorhandler(BadRequest)
    def malformed(error: BadRequest) -> tuple[Response, int]:
        return jsonify(error=error.description), 400

    return control


def _body() -> dict[str, Any]:
    body = request.get_json() if request.is_json else None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object, sent as application/json")
    return body
