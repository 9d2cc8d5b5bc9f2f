"""`POST /hooks/<secret>`: takes what a Slack incoming webhook takes, and answers like one.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

from __future__ import annotations

import logging

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bolt_app.db import DATABASE_DOWN
from bolt_app.db.audit import AuditAction
from bolt_app.notifications.acceptance import Sender
from bolt_app.notifications.hooks import HOOKS_PATH
from bolt_app.notifications.webhook_payload import (
    PayloadError,
    payload_of,
    read_json,
    read_webhook,
)
from bolt_app.services import Services

logger = logging.getLogger(__name__)


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of hooks."""
    blueprint = Blueprint("hooks", __name__)

    @blueprint.post(f"{HOOKS_PATH}<secret>")
    def take(secret: str) -> Response:
        hook = services.hooks.find(secret)
        if hook is None:
            services.audit.reject(AuditAction.WEBHOOK_REJECTED)
            return _answer(403, "invalid_token")
        if hook.revoked_at is not None:
            services.audit.reject(
                AuditAction.WEBHOOK_REJECTED, team_id=hook.team_id, credential=f"webhook:{hook.id}"
            )
            return _answer(404, "no_service")
        try:
            notification = read_webhook(_payload(), hook.to, services.clock())
        except PayloadError as error:
            return _answer(400, error.code)
        services.acceptance.accept(Sender(hook.team_id, hook.source), [notification])
        return _answer(200, "ok")

    @blueprint.errorhandler(RequestEntityTooLarge)
    def answer_too_large(_error: RequestEntityTooLarge) -> Response:
        return _answer(413, "payload_too_large")

    def answer_database_down(error: Exception) -> Response:
        logger.error("the database is not answering", exc_info=error)
        response = _answer(503, "service_unavailable")
        response.headers["Retry-After"] = "60"
        return response

    for kind in DATABASE_DOWN:
        blueprint.register_error_handler(kind, answer_database_down)
    return blueprint


def _payload() -> object:
    if request.mimetype == "multipart/form-data":
        return read_json(request.form.get("payload", ""))
    return payload_of(request.get_data(cache=False))


def _answer(status: int, words: str) -> Response:
    return Response(words, status=status, mimetype="text/plain")
