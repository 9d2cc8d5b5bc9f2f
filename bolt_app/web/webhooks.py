"""`POST /hooks/<secret>`: takes what a Slack incoming webhook takes, and answers like one.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

from __future__ import annotations

import logging

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.credentials.webhooks import HOOKS_PATH, WebhookRecord
from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.db.audit import AuditAction
from bolt_app.guesses import TooManyGuessesError
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.content.webhook_format import (
    PayloadError,
    payload_of,
    read_json,
    read_webhook,
)
from bolt_app.notifications.intake.sender import Sender
from bolt_app.services import Services
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of hooks."""
    blueprint = Blueprint("hooks", __name__)

    @blueprint.post(f"{HOOKS_PATH}<secret>")
    def take(secret: str) -> Response:
        try:
            hook = find(secret)
            if hook is None:
                reject(hook)
                return _answer(403, "invalid_token")
            services.client.find_workspace(hook.team_id)
            accept(hook)
        except TooManyGuessesError as error:
            return _later(429, "rate_limited", error.retry_after)
        except NotInstalledError:
            return _answer(403, "action_prohibited")
        except PayloadError as error:
            return _answer(400, error.code)
        except RevokedError:
            reject(hook)
            return _answer(404, "no_service")
        except LimitError as error:
            # Tools such as Alertmanager try again after 5xx alone.
            return _later(503, "rate_limited", error.retry_after)
        return _answer(200, "ok")

    def reject(hook: WebhookRecord | None) -> None:
        if hook is None:
            services.audit.reject(AuditAction.WEBHOOK_REJECTED)
            return
        services.audit.reject(
            AuditAction.WEBHOOK_REJECTED, team_id=hook.team_id, credential=f"webhook:{hook.id}"
        )

    def find(secret: str) -> WebhookRecord | None:
        """Return the hook; an address that has guessed too often may use only known ones.

        A revoked hook counts as a guess.
        """
        known = services.webhooks.remembered(secret)
        if known is not None:
            return known
        services.guesses.check(request.remote_addr)
        found = services.webhooks.remember(secret)
        if found is None or found.revoked_at is not None:
            services.guesses.count(request.remote_addr)
        return found

    def accept(hook: WebhookRecord) -> None:
        """Accept what was posted.

        Raises:
            RevokedError: the hook is revoked, perhaps since it was read.
        """
        if hook.revoked_at is not None:
            raise RevokedError
        try:
            check(hook)
            services.intake.submit(Sender.of(hook), [read(hook)])
        except RevokedError:
            services.webhooks.forget(hook.id)
            raise

    def check(hook: WebhookRecord) -> None:
        """Refuse what was over a limit a moment ago, before its body is read."""
        try:
            services.sender_limits.check(hook.credential)
        except LimitError as error:
            services.sender_limits.reject(hook.credential, error)
            raise

    def read(hook: WebhookRecord) -> NotificationRequest:
        try:
            return read_webhook(
                _payload(),
                hook.to,
                services.clock(),
                key=request.args.get("key"),
                key_field=hook.key_field,
            )
        except (PayloadError, RequestEntityTooLarge):
            # A rejected request counts too.
            services.sender_limits.charge_request(hook.credential)
            raise

    @blueprint.errorhandler(RequestEntityTooLarge)
    def answer_too_large(_error: RequestEntityTooLarge) -> Response:
        return _answer(413, "payload_too_large")

    def answer_database_down(error: Exception) -> Response:
        logger.error("the database is not answering", exc_info=error)
        return _later(503, "service_unavailable", 60)

    for kind in DATABASE_UNAVAILABLE:
        blueprint.register_error_handler(kind, answer_database_down)
    return blueprint


def _payload() -> object:
    if request.mimetype == "multipart/form-data":
        return read_json(request.form.get("payload", ""))
    charset = request.mimetype_params.get("charset")
    return payload_of(request.get_data(cache=False), charset)


def _later(status: int, words: str, retry_after: int) -> Response:
    response = _answer(status, words)
    response.headers["Retry-After"] = str(retry_after)
    return response


def _answer(status: int, words: str) -> Response:
    return Response(words, status=status, mimetype="text/plain")
