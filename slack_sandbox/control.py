"""Switches and records over HTTP, for other processes and for pages.

Everything is JSON below ``/sandbox/``. A page of another origin can neither read nor post:
bodies must be sent as ``application/json``, which a browser asks permission for first.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, NotFound

from slack_sandbox.errors import AuthorizeError, NotFoundError, SandboxError
from slack_sandbox.faults import Fault
from slack_sandbox.sandbox import Sandbox

_LAST_CALLS = 50


def create_control(sandbox: Sandbox) -> Blueprint:
    """The blueprint of ``/sandbox/``."""
    control = Blueprint("sandbox_control", __name__, url_prefix="/sandbox")

    @control.get("/faults")
    def list_faults() -> Response:
        return jsonify(faults=[vars(one) for one in sandbox.faults.all()])

    @control.post("/faults")
    def add_fault() -> Response:
        try:
            sandbox.faults.add(Fault(**_body()))
        except (TypeError, ValueError) as error:
            raise BadRequest(str(error)) from None
        return list_faults()

    @control.delete("/faults")
    def clear_faults() -> Response:
        sandbox.faults.clear()
        return list_faults()

    @control.get("/calls")
    def list_calls() -> Response:
        last = sandbox.call_log.last(request.args.get("last", _LAST_CALLS, type=int))
        return jsonify(
            total=len(sandbox.call_log),
            counts=sandbox.call_log.counts(),
            last=[one.summary() for one in last],
        )

    @control.delete("/calls")
    def clear_calls() -> Response:
        sandbox.call_log.clear()
        return list_calls()

    @control.get("/deliveries")
    def list_deliveries() -> Response:
        return jsonify(deliveries=[one.summary() for one in sandbox.deliveries])

    @control.get("/world")
    def world() -> Response:
        return jsonify(_world(sandbox))

    @control.post("/reset")
    def reset() -> Response:
        sandbox.reset()
        return jsonify(ok=True)

    @control.post("/limits")
    def set_limits() -> Response:
        enabled = _body().get("enabled")
        if not isinstance(enabled, bool):
            raise BadRequest("enabled must be true or false")
        sandbox.limits.enabled = enabled
        return jsonify(enabled=enabled)

    @control.post("/unreachable-hosts")
    def set_unreachable_hosts() -> Response:
        hosts = _body().get("hosts")
        if not isinstance(hosts, list) or not all(isinstance(one, str) for one in hosts):
            raise BadRequest("hosts must be a list of host names")
        sandbox.unreachable_hosts = {one.lower() for one in hosts}
        return jsonify(hosts=sorted(sandbox.unreachable_hosts))

    @control.post("/command")
    def command() -> Response:
        body = _body()
        done = sandbox.send_command(
            _text(body, "user_id"),
            _text(body, "channel_id"),
            _text(body, "command"),
            body.get("text", ""),
        )
        return jsonify(status=done.status, body=done.body, elapsed=done.elapsed, error=done.error)

    @control.post("/event")
    def event() -> Response:
        body = _body()
        sent = sandbox.send_event(_text(body, "team_id"), body.get("event") or {})
        return jsonify(sent.summary())

    @control.post("/uninstall")
    def uninstall() -> Response:
        sandbox.uninstall(_text(_body(), "team_id"))
        return jsonify(ok=True)

    @control.errorhandler(SandboxError)
    def refused(error: SandboxError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 404 if isinstance(error, NotFoundError) else 400

    @control.errorhandler(AuthorizeError)
    def not_allowed(error: AuthorizeError) -> tuple[Response, int]:
        return jsonify(error=error.error, message=error.message), 400

    @control.errorhandler(BadRequest)
    def malformed(error: BadRequest) -> tuple[Response, int]:
        return jsonify(error=error.description), 400

    @control.errorhandler(NotFound)
    def missing(error: NotFound) -> tuple[Response, int]:
        return jsonify(error=error.description), 404

    return control


def _body() -> dict[str, Any]:
    body = request.get_json() if request.is_json else None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object, sent as application/json")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} is missing")
    return value


def _world(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "workspaces": [vars(one) for one in sandbox.workspaces.values()],
        "users": [
            {
                "id": one.id,
                "team_ids": one.team_ids,
                "name": one.name,
                "real_name": one.real_name,
                "is_bot": one.is_bot,
                "deleted": one.deleted,
            }
            for one in sandbox.users.values()
        ],
        "channels": [vars(one) for one in sandbox.channels.values()],
        "installed": [one for one in sandbox.workspaces if sandbox.is_installed(one)],
    }
