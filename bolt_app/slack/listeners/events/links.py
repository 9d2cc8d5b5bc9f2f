"""Unfurls of links to notifications in messages of people.

https://docs.slack.dev/messaging/unfurling-links-in-messages
"""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.notifications.content.page_urls import notification_of
from bolt_app.services import Services
from bolt_app.slack.notifications.blocks import unfurled
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def register_link_events(app: App, services: Services) -> None:
    """Register `link_shared` (https://docs.slack.dev/reference/events/link_shared).

    Slack sends it while a link is typed and again when it is posted. A repeated event is harmless:
    each `chat.unfurl` replaces the earlier unfurl of the link.
    """

    @app.event("link_shared")
    def unfurl(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        team_id = context.team_id or ""
        unfurls = {}
        for url in {link["url"] for link in event["links"]}:
            view = _unfurled(url, team_id, event, body)
            if view is not None:
                unfurls[url] = view
        if unfurls:
            _show(team_id, event, unfurls)

    def _unfurled(
        url: str, team_id: str, event: dict[str, Any], body: dict[str, Any]
    ) -> dict[str, Any] | None:
        id_ = notification_of(url, services.settings.public_url)
        if id_ is None:
            return None
        # If Slack does not say, people of other organizations may be there.
        is_outside = body.get("is_ext_shared_channel") is not False
        # While a message is being typed, Slack sends a placeholder that looks like a channel id
        # (https://api.slack.com/changelog/2021-08-changes-to-unfurls).
        is_posted = event.get("source") == "conversations_history"
        found = services.visibility.find_shared(
            team_id,
            id_,
            event["channel"] if is_posted else None,
            shared_by=str(event.get("user") or ""),
            is_outside=is_outside,
        )
        return None if found is None else unfurled(found, url)

    def _show(team_id: str, event: dict[str, Any], unfurls: dict[str, Any]) -> None:
        workspace = services.client.find_workspace(team_id)
        arguments = {"unfurl_id": event["unfurl_id"], "source": event["source"]}
        try:
            services.client.as_bot(workspace, "chat.unfurl", unfurls=unfurls, **arguments)
        except SlackCallError as error:
            if not error.is_permanent:
                raise
            # For example, the message was deleted meanwhile: a retry would not help.
            logger.info("a link was not unfurled", extra={"error": error.code})
