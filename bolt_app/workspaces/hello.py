"""The bot's first messages: the welcome after an install, and the greeting in a channel."""

from __future__ import annotations

from typing import Any


def hello_text(user_id: str) -> str:
    """Return the message as plain text, for banners and screen readers."""
    return f"Hello! <@{user_id}> asked Bellhop to post notifications here."


def hello_blocks(user_id: str) -> list[dict[str, Any]]:
    """Return the message as Block Kit (https://docs.slack.dev/reference/block-kit/blocks)."""
    return [
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "text": (
                    f":bellhop_bell: *Hello!* <@{user_id}> asked me to post your company's "
                    "notifications in this channel."
                ),
            },
        },
        {
            "type": "context",
            "elements": [
                {
                    "type": "mrkdwn",
                    "text": "`/notify subscribe deploys` subscribes this channel to a topic, "
                    "`/notify help` shows more  •  `/profile` shows your linked profile",
                }
            ],
        },
    ]


def welcome_text() -> str:
    """Return the welcome as plain text, for banners and screen readers."""
    return "Bellhop is installed in this workspace."


def welcome_blocks(profile_url: str) -> list[dict[str, Any]]:
    """Return the welcome for the person who installed Bellhop, as Block Kit.

    Args:
        profile_url: their page, which has the command that sends the first notification.
    """
    lines = (
        f":bellhop_bell: *{welcome_text()}* The next steps:",
        f"• <{profile_url}|Open your page>: have the bot say hello in a channel, and copy the "
        "command that sends a notification",
        "• Type `/notify subscribe deploys` in a channel to receive the notifications of "
        "`topic:deploys` there, and `/notify test` to see a notification",
        "• The *Home* tab has your subscriptions and quiet hours, and for admins API keys and "
        "webhooks",
    )
    return [{"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}}]
