"""Unfurls of links to notifications in messages of people.

https://docs.slack.dev/messaging/unfurling-links-in-messages
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.notifications.content.page_urls import notification_of
from bolt_app.services import Services
from bolt_app.slack.notifications.blocks import unfurled
from bolt_app.slack_api import SlackCallError
from bolt_app.sliding_limit import SlidingLimit

logger = logging.getLogger(__name__)

# The most notifications that are shown below one message.
MOST_SHOWN = 10
# Reports of links by one person. Slack sends one for each link in a message that is being written.
REPORTS_A_MINUTE = 30


def register_link_events(app: App, services: Services) -> None:
    """Register `link_shared` (https://docs.slack.dev/reference/events/link_shared).

    Slack sends it while a link is typed and again when it is posted. A repeated event is harmless:
    each `chat.unfurl` replaces the earlier unfurl of the link.
    """
    reports = SlidingLimit(REPORTS_A_MINUTE, timedelta(minutes=1), clock=services.clock)

    @app.event("link_shared")
    def unfurl(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        team_id = context.team_id or ""
        user_id = str(event.get("user") or "")
        urls = _urls(event)
        if not urls or reports.take(f"{team_id}/{user_id}"):
            return
        # If Slack does not say, people of other organizations may be there.
        is_outside = body.get("is_ext_shared_channel") is not False
        # While a message is being typed, Slack sends a placeholder that looks like a channel id
        # (https://api.slack.com/changelog/2021-08-changes-to-unfurls).
        channel_id = event["channel"] if event.get("source") == "conversations_history" else None
        unfurls = {}
        for id_, url in urls.items():
            found = services.visibility.find_shared(
                team_id, id_, channel_id, shared_by=user_id, is_outside=is_outside
            )
            if found is not None:
                unfurls[url] = unfurled(found, url)
        if unfurls:
            _show(team_id, event, unfurls)

    def _urls(event: dict[str, Any]) -> dict[str, str]:
        """Return the first link to each of the first `MOST_SHOWN` notifications, by its id."""
        urls: dict[str, str] = {}
        for link in event["links"]:
            id_ = notification_of(link["url"], services.settings.public_url)
            if id_ is not None and len(urls) < MOST_SHOWN:
                urls.setdefault(id_, link["url"])
        return urls

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
