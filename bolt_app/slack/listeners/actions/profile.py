"""Buttons of a profile."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond

from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.signed_actions import signed_blocks


def register_profile_actions(app: App, services: Services) -> None:
    """Register the buttons."""

    @app.action(ids.REFRESH_PROFILE)
    def refresh(ack: Ack, respond: Respond, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        reply = ProfileActions.of(services, context).refresh()
        blocks = signed_blocks(services, context, body, reply.blocks)
        respond(text=reply.text, blocks=blocks, replace_original=True)

    @app.action(ids.UNLINK_PROFILE)
    def unlink(ack: Ack, respond: Respond, context: BoltContext) -> None:
        ack()
        reply = ProfileActions.of(services, context).unlink()
        services.background.submit(services.revocations.revoke_pending)
        respond(text=reply.text, blocks=reply.blocks, replace_original=True)

    @app.action(ids.KEEP_PROFILE)
    def keep(ack: Ack, respond: Respond) -> None:
        ack()
        respond(delete_original=True)
