"""The bot's first message in a channel."""

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
                    "text": "Type `/profile` anywhere to see the profile you have linked.",
                }
            ],
        },
    ]
