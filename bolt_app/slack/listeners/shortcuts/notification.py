"""The message shortcut “Link to notification”.

https://docs.slack.dev/interactivity/implementing-shortcuts#messages
"""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App, BoltContext

from bolt_app.notifications.content.page_urls import page_url
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.modals import open_modal
from bolt_app.slack.notifications.blocks import link_modal, no_link_modal


def register_notification_shortcut(app: App, services: Services) -> None:
    """Register the shortcut, which opens a modal with the link."""

    @app.message_shortcut(ids.LINK_TO_NOTIFICATION)
    def link(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        notification_id = services.history.find_by_message(
            context.team_id or "",
            body["channel"]["id"],
            body["message_ts"],
            # Slack does not name the workspace of the message in an organization.
            enterprise_id=context.enterprise_id if context.is_enterprise_install else None,
        )
        view = no_link_modal()
        if notification_id is not None:
            view = link_modal(page_url(services.settings.public_url, notification_id))
        open_modal(services, context, body, view)
