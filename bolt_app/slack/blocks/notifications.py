"""What people are shown of a notification beside its own messages."""

from __future__ import annotations

from bolt_app.slack.blocks.elements import Block, context, section, told_modal


def link_modal(url: str) -> Block:
    """Return the modal with the address of a notification's page."""
    return _modal(
        section(f"<{url}|Open the page of this notification>"),
        # A code block is copied as it is.
        section(f"```{url}```"),
        context("It opens for those who can see the notification in Slack, once they sign in."),
    )


def no_link_modal() -> Block:
    """Return the modal for a message that shows no notification."""
    return _modal(
        section(
            "This message is not a notification that Bellhop delivered, or one that was deleted "
            "since, so there is no page to link to. Try it on one that Bellhop has posted."
        )
    )


def _modal(*blocks: Block) -> Block:
    return told_modal("Link to notification", list(blocks))
