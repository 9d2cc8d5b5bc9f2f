"""Incoming webhooks: `POST /hooks/<secret>`, compatible with those of Slack.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

from __future__ import annotations

import logging
import math
from functools import partial

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bolt_app.clock import Clock
from bolt_app.credentials.limits import LimitError, RevokedError
from bolt_app.credentials.webhooks import AWS_SNS, WEBHOOKS_PATH, WebhookRecord
from bolt_app.db.audit import AuditAction
from bolt_app.guesses import TooManyGuessesError
from bolt_app.notifications.content.webhook_format import PayloadError, payload_of, read_json
from bolt_app.notifications.intake.sender import Sender
from bolt_app.senders import bodies
from bolt_app.senders.aws_sns import checks as sns
from bolt_app.senders.custom import Render
from bolt_app.senders.registry import known_senders
from bolt_app.services import Services
from bolt_app.web.errors import answer_without_database
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

_SNS_RETRY_SECONDS = math.ceil(sns.FAILED_FOR_SECONDS)


class SignatureError(Exception):
    """A body without the signature of the webhook's sender."""


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of webhooks."""
    blueprint = Blueprint("webhooks", __name__)

    @blueprint.post(f"{WEBHOOKS_PATH}<secret>")
    def take(secret: str) -> Response:
        try:
            webhook = find(secret)
            if webhook is None:
                reject(webhook)
                return _answer(403, "invalid_token")
            services.client.find_workspace(webhook.team_id)
            accept(webhook)
        except TooManyGuessesError as error:
            return _retry_later(429, "rate_limited", error.retry_after)
        except NotInstalledError:
            return _answer(403, "action_prohibited")
        except PayloadError as error:
            return _answer(400, error.code)
        except sns.SnsUnreachableError:
            logger.warning("Amazon SNS could not be asked: a message was not checked")
            return _retry_later(503, "service_unavailable", _SNS_RETRY_SECONDS)
        except SignatureError:
            reject(webhook)
            return _answer(403, "invalid_signature")
        except RevokedError:
            reject(webhook)
            return _answer(404, "no_service")
        except LimitError as error:
            # Tools such as Alertmanager retry only after 5xx.
            return _retry_later(503, "rate_limited", error.retry_after)
        return _answer(200, "ok")

    def reject(webhook: WebhookRecord | None) -> None:
        if webhook is None:
            services.audit.reject(AuditAction.WEBHOOK_REJECTED)
            return
        services.audit.reject(
            AuditAction.WEBHOOK_REJECTED,
            team_id=webhook.team_id,
            credential=f"webhook:{webhook.id}",
        )

    def find(secret: str) -> WebhookRecord | None:
        """Return the webhook; after too many guesses, a client address can use only known ones.

        A revoked webhook counts as a guess.
        """
        if not services.webhooks.is_known(secret):
            services.guesses.check(request.remote_addr)
        found = services.webhooks.remember(secret)
        if found is None or found.revoked_at is not None:
            services.guesses.count(request.remote_addr)
        return found

    def accept(webhook: WebhookRecord) -> None:
        """Accept the posted message.

        Raises:
            RevokedError: the webhook is revoked, perhaps since it was read.
            NotInstalledError: Bellhop is not installed in its workspace, or no longer.
        """
        if webhook.revoked_at is not None:
            raise RevokedError
        try:
            check(webhook)
            understood, body = read(webhook)
            sealed = services.webhook_bodies.seal(webhook.id, body, understood.problem)
            services.intake.submit_in_parts(Sender.of(webhook), understood.requests, body=sealed)
        except RevokedError:
            services.webhooks.forget(webhook.id)
            raise

    def check(webhook: WebhookRecord) -> None:
        """Reject a webhook that was just over a limit, before its body is read."""
        try:
            services.sender_limits.check(webhook.credential)
        except LimitError as error:
            services.sender_limits.reject(webhook.credential, error)
            raise

    def read(webhook: WebhookRecord) -> tuple[bodies.Understood, object]:
        """Return the notifications of the request's body, and the body itself."""
        try:
            _verify(webhook, services.clock)
            body = _body(webhook)
            if webhook.sender == AWS_SNS:
                check_sns(webhook, body)
            incoming = bodies.Incoming(
                webhook.sender,
                _headers(),
                body,
                webhook.to,
                services.clock(),
                key=request.args.get("key"),
                key_field=webhook.key_field,
                render=renderer(webhook),
            )
            return bodies.read(incoming), body
        except (PayloadError, RequestEntityTooLarge, SignatureError, sns.SnsUnreachableError):
            # A rejected request counts too.
            services.sender_limits.charge_request(webhook.credential)
            raise

    def renderer(webhook: WebhookRecord) -> Render | None:
        if webhook.template is None:
            return None
        return partial(services.templates.render, f"webhook:{webhook.id}", webhook.template)

    def check_sns(webhook: WebhookRecord, body: object) -> None:
        """Check the signature and topic of Amazon SNS, and confirm a requested subscription.

        The first topic whose message arrives is the webhook's, which a new webhook's subscription
        is: only then does SNS send other messages.

        Raises:
            SignatureError: SNS did not sign it, or for another topic.
            SnsUnreachableError: SNS did not answer, or too many messages wait for it.
            RevokedError, NotInstalledError: as `accept`.
        """
        # The body may have arrived a minute after the webhook was found.
        services.sender_limits.charge_request(webhook.credential, requests=0)
        topic = services.sns.verify(webhook.id, body, webhook.topic_arn)
        if topic is None:
            raise SignatureError
        if webhook.topic_arn is None and not services.webhooks.set_topic(webhook.id, topic):
            raise SignatureError
        services.sns.confirm(webhook.id, body)

    @blueprint.errorhandler(RequestEntityTooLarge)
    def answer_too_large(_error: RequestEntityTooLarge) -> Response:
        return _answer(413, "payload_too_large")

    answer_without_database(blueprint, lambda: _answer(503, "service_unavailable"))
    return blueprint


def _verify(webhook: WebhookRecord, clock: Clock) -> None:
    """Check the sender's signature if the webhook has a secret for it.

    Raises:
        SignatureError: it is missing or wrong.
    """
    if webhook.signing_secret is None:
        return
    sender = known_senders().get(webhook.sender)
    # A form is parsed from the cached body afterwards.
    raw = request.get_data(cache=True, parse_form_data=False)
    verify = sender.signature.verify if sender and sender.signature else None
    if verify is None or not verify(webhook.signing_secret, _headers(), raw, clock()):
        raise SignatureError


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _body(webhook: WebhookRecord) -> object:
    if request.mimetype == "multipart/form-data":
        # Slack's tools name the part `payload`, Uptime Kuma `data`.
        return read_json(request.form.get("payload") or request.form.get("data", ""))
    charset = request.mimetype_params.get("charset")
    raw = request.get_data(cache=False)
    return (
        payload_of(raw, charset) if webhook.sender == bodies.SLACK else bodies.body_of(raw, charset)
    )


def _retry_later(status: int, code: str, retry_after: int) -> Response:
    response = _answer(status, code)
    response.headers["Retry-After"] = str(retry_after)
    return response


def _answer(status: int, code: str) -> Response:
    return Response(code, status=status, mimetype="text/plain")
