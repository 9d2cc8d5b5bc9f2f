"""Block Kit about a notification beside its own messages: its link and its unfurl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.blockkit.elements import Block, context, info_modal, moment, plain, section
from bolt_app.blockkit.mrkdwn import shorten
from bolt_app.notifications.content.meaning import severity_of, title_of
from bolt_app.notifications.content.message import mrkdwn_of, render
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.history.views import SharedNotification
from bolt_app.notifications.incidents.blocks import incident_blocks
from bolt_app.notifications.incidents.resolved_content import content_in_state
from bolt_app.severity import COLOURS

# In bytes. The link leads to the rest.
EXCERPT = 600


def link_modal(url: str) -> Block:
    """Return the modal with the address of a notification's page."""
    return _modal(
        section(f"<{url}|Open the page of this notification>"),
        # A code block can be copied unchanged.
        section(f"```{url}```"),
        context("People who can see the notification in Slack can open it after they sign in."),
    )


def no_link_modal() -> Block:
    """Return the modal for a message without a notification."""
    return _modal(
        section(
            "This message has no page. It is not a notification from Bellhop, or the notification "
            "was deleted. Try a message that Bellhop posted."
        )
    )


def unfurled(shared: SharedNotification, url: str) -> dict[str, Any]:
    """Return the unfurl of a link to a notification.

    https://docs.slack.dev/reference/methods/chat.unfurl
    """
    content = content_in_state(shared.content, shared.incident)
    severity = severity_of(content)
    title = title_of(content)
    if not title:
        # The text follows below.
        title = "Notification" if content.get("text", "").strip() else headline(content)
    heading = {"title": title, "link": url}
    if severity is not None:
        heading["severity"] = severity
    blocks: list[Block] = [
        *render(heading)["blocks"],
        *_excerpt(content),
        context(moment(shared.created_at)),
    ]
    if shared.incident is not None:
        blocks += incident_blocks(shared.id, [], shared.incident)
    return {"blocks": blocks} | ({} if severity is None else {"color": COLOURS[severity]})


def _excerpt(content: Mapping[str, Any]) -> list[Block]:
    text = shorten(mrkdwn_of(content), EXCERPT)
    if not text.strip():
        return []
    if content.get("mrkdwn", True):
        return [section(text)]
    return [{"type": "section", "text": plain(text)}]


def _modal(*blocks: Block) -> Block:
    return info_modal("Link to notification", list(blocks))
