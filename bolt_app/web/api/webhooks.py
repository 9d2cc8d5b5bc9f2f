"""Webhooks over HTTP: created by an API key that manages its whole workspace."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import ValidationError

from bolt_app.credentials.api_keys import ApiKeyRecord, Scope
from bolt_app.credentials.webhooks import AWS_SNS
from bolt_app.notifications.content.errors import FieldProblem, problems_of
from bolt_app.senders.previews import require_syntax
from bolt_app.senders.registry import secret_for
from bolt_app.services import Services
from bolt_app.web.api.auth import charged_by_transaction, require_sender
from bolt_app.web.api.bodies import read_body
from bolt_app.web.api.problems import ApiError, invalid
from bolt_app.web.api.schemas import CreatedWebhook, WebhookRequest

# In a workspace, those of Slack and of the command line included. Messages and lists read the names
# of all of them.
MOST_WEBHOOKS = 1000


def add_views(blueprint: Blueprint, services: Services) -> None:
    """Register the views of webhooks."""

    @blueprint.post("/webhooks")
    def create_webhook() -> Response:
        caller = require_sender(services, Scope.ADMIN)
        with charged_by_transaction(services, caller):
            _require_whole_workspace(caller)
            try:
                wanted = WebhookRequest.model_validate(read_body())
            except ValidationError as error:
                raise invalid(problems_of(error)) from None
            _require_room(services, caller)
            _require_syntax(services, caller, wanted.template)
            made = secret_for(wanted.sender)
            url = services.webhooks.create(
                caller.team_id,
                wanted.name,
                wanted.to,
                key_field=wanted.key_field,
                sender=wanted.sender,
                signing_secret=made or wanted.secret,
                topic_arn=wanted.topic_arn,
                template=wanted.template,
                created_with=caller.credential,
            )
        created = CreatedWebhook(
            url=url,
            secret=made,
            signed=bool(made or wanted.secret) or wanted.sender == AWS_SNS,
        )
        return Response(created.model_dump_json(), status=201, mimetype="application/json")


def _require_whole_workspace(caller: ApiKeyRecord) -> None:
    """Require a key without a channel limit: a webhook would remain after it is revoked.

    Raises:
        ApiError: the key is limited (403).
    """
    if not caller.creates_webhooks:
        raise ApiError(
            403, "Use an API key with the scope admin and no channel limit to create webhooks."
        )


def _require_room(services: Services, caller: ApiKeyRecord) -> None:
    """Require that the workspace has fewer than `MOST_WEBHOOKS`.

    A key could otherwise multiply its limits, and slow down everything that reads all webhooks.

    Raises:
        ApiError: it has so many (409).
    """
    if services.webhooks.count(caller.team_id) >= MOST_WEBHOOKS:
        raise ApiError(
            409,
            f"This workspace has {MOST_WEBHOOKS:,} webhooks: create others in App Home or with "
            "`bellhop webhook create`.",
        )


def _require_syntax(services: Services, caller: ApiKeyRecord, template: str | None) -> None:
    """Check the syntax of a template, if there is one.

    Raises:
        ApiError: it is wrong (422).
    """
    if template is None:
        return
    try:
        require_syntax(services.templates, f"api_key:{caller.id}", template)
    except ValueError as error:
        raise invalid([FieldProblem("template", str(error))]) from None
