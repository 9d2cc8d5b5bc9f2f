"""Buttons and modals with which admins create and revoke API keys and webhooks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from slack_bolt import Ack, App, BoltContext

from bolt_app.access.authorization import AccessDeniedError
from bolt_app.blockkit.elements import Block, Reply, info_modal, plain_reply, section
from bolt_app.blockkit.signed_values import OutdatedError
from bolt_app.credentials.api_keys import PERSONAL_SCOPES
from bolt_app.credentials.create_once import AlreadyCreatedError
from bolt_app.credentials.webhooks import AUTO, CUSTOM, normal_key_field
from bolt_app.recipients import normal_address
from bolt_app.senders.registry import known_senders, own_secret, shows_its_own_secret
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.credentials.actions import CredentialActions
from bolt_app.slack.credentials.blocks import (
    CHANNELS_BLOCK,
    KEY_FIELD_BLOCK,
    LIFETIME_BLOCK,
    LIFETIMES,
    NAME_BLOCK,
    NEVER,
    SCOPES_BLOCK,
    SECRET_BLOCK,
    SENDER_BLOCK,
    TARGET_BLOCK,
    key_created_view,
    key_modal,
    webhook_created_view,
    webhook_modal,
)
from bolt_app.slack.credentials.errors import MissingNameError
from bolt_app.slack.errors import NotInvitedError
from bolt_app.slack.home.refresh import suppress_home_refresh
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.modals import input_of, open_modal, reading_form, text_of
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.signed_actions import is_home_click, signed_fields
from bolt_app.slack_api import SlackCallError


def register_credential_actions(app: App, services: Services) -> None:
    """Register the buttons and the modals."""

    @app.action(ids.NEW_API_KEY)
    def ask_for_key(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        ask(body, context, key_modal())

    @app.action(ids.NEW_WEBHOOK)
    def ask_for_webhook(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        ask(body, context, webhook_modal())

    @app.view(ids.NEW_API_KEY_VIEW)
    def create_key(ack: Ack, view: dict[str, Any], context: BoltContext) -> None:
        admin = CredentialActions.of(services, context)
        with reading_form():
            name, lifetime = text_of(view, NAME_BLOCK), _lifetime(view)
            chosen = {
                option["value"] for option in input_of(view, SCOPES_BLOCK)["selected_options"]
            }
        scopes = [scope for scope in PERSONAL_SCOPES if scope in chosen]
        if not name:
            _refuse(ack, NAME_BLOCK, MissingNameError())
            return
        try:
            channels = _addresses(text_of(view, CHANNELS_BLOCK))
        except ValueError as error:
            _refuse(ack, CHANNELS_BLOCK, error)
            return
        try:
            secret = admin.create_key(name, scopes, channels, lifetime, _receipt(view))
        except (AccessDeniedError, AlreadyCreatedError) as error:
            _refuse(ack, NAME_BLOCK, error)
            return
        ack(response_action="update", view=key_created_view(name, admin.user_id, secret))

    @app.view(ids.NEW_WEBHOOK_VIEW)
    def create_webhook(ack: Ack, view: dict[str, Any], context: BoltContext) -> None:
        admin = CredentialActions.of(services, context)
        with reading_form():
            name, channel_id = text_of(view, NAME_BLOCK), _channel(view)
            written, sender = text_of(view, KEY_FIELD_BLOCK), _sender(view)
            shown_secret = text_of(view, SECRET_BLOCK)
        if not name:
            _refuse(ack, NAME_BLOCK, MissingNameError())
            return
        try:
            key_field = normal_key_field(written or None)
        except ValueError as error:
            _refuse(ack, KEY_FIELD_BLOCK, error)
            return
        try:
            given = own_secret(sender, shown_secret) if shown_secret else None
        except ValueError as error:
            _refuse(ack, SECRET_BLOCK, ValueError(f"The secret {error}."))
            return
        try:
            url, secret = admin.create_webhook(
                name, channel_id, sender, given, key_field, _receipt(view)
            )
        except (AccessDeniedError, AlreadyCreatedError) as error:
            _refuse(ack, NAME_BLOCK, error)
            return
        except (NotInvitedError, SlackCallError) as error:
            _refuse(ack, TARGET_BLOCK, error)
            return
        ack(
            response_action="update",
            view=webhook_created_view(
                name,
                admin.user_id,
                channel_id,
                url,
                secret,
                unsigned=sender if given is None and shows_its_own_secret(sender) else "",
            ),
        )

    @app.action(ids.REVOKE_API_KEY)
    def revoke_key(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        key_id = _row_id(body, context, "key")
        show(context, lambda admin: admin.revoke_key(key_id))

    @app.action(ids.REVOKE_WEBHOOK)
    def revoke_webhook(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        webhook_id = _row_id(body, context, "hook")
        show(context, lambda admin: admin.revoke_webhook(webhook_id))

    def ask(body: dict[str, Any], context: BoltContext, view: Block) -> None:
        """Open a modal for an admin; for others, open a modal with the reason why not."""
        try:
            CredentialActions.of(services, context).require_admin()
        except AccessDeniedError as error:
            view = info_modal("For admins", [section(str(error))])
        open_modal(services, context, body, view)

    def show(context: BoltContext, do: Callable[[CredentialActions], Reply]) -> None:
        """Run an action, and show its result in the App Home."""
        requester = ProfileActions.of(services, context)
        try:
            with suppress_home_refresh(requester):
                reply = do(CredentialActions.of(services, context))
        except AccessDeniedError as error:
            publish_home(requester, plain_reply(str(error)))
            return
        publish_home(requester, admin_notice=reply)


def _row_id(body: dict[str, Any], context: BoltContext, name: str) -> int:
    """Return the row id that a button in the App Home carries.

    Raises:
        OutdatedError: the button is elsewhere or carries none.
    """
    row_id = signed_fields(context).get(name)
    if not is_home_click(body) or not isinstance(row_id, int):
        raise OutdatedError
    return row_id


def _refuse(ack: Ack, block_id: str, error: Exception) -> None:
    """Keep the modal open, with the error beside an input."""
    text = error.sentence if isinstance(error, SlackCallError) else str(error)
    ack(response_action="errors", errors={block_id: text.replace("`", "")})


def _addresses(text: str) -> list[str]:
    return [normal_address(word) for word in text.replace(",", " ").split()]


def _lifetime(view: dict[str, Any]) -> timedelta | None:
    chosen = input_of(view, LIFETIME_BLOCK)["selected_option"]["value"]
    if chosen not in LIFETIMES:
        raise ValueError("must be one of the options")
    return None if chosen == NEVER else timedelta(days=int(chosen))


def _channel(view: dict[str, Any]) -> str:
    channel_id = normal_address(input_of(view, TARGET_BLOCK)["selected_conversation"])
    if channel_id[0] not in "CG":
        raise ValueError("must be a channel")
    return channel_id


def _sender(view: dict[str, Any]) -> str:
    chosen = input_of(view, SENDER_BLOCK)["selected_option"]["value"]
    if chosen not in (AUTO, CUSTOM) and chosen not in known_senders():
        raise ValueError("must be one of the options")
    return str(chosen)


def _receipt(view: dict[str, Any]) -> str:
    # A reopened modal has another id.
    return f"view:{view['id']}"
