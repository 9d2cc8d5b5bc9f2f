"""Slack's incoming-webhook format, which many tools support.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and, for attachments,
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments

The message keeps the sender's layout. Its severity, title, link and fields are derived from that
layout; the key is `?key=` in the URL, the webhook's key field, or a `callback_id`.
"""

from __future__ import annotations

from typing import Any

from bolt_app.notifications.content.webhook_format import PayloadError, members_of
from bolt_app.senders.known import Headers, KnownSender, Notification

MEMBERS = ("text", "blocks", "attachments")


def is_slack(body: Any) -> bool:
    """Whether a body has content in Slack's format."""
    return isinstance(body, dict) and any(name in body for name in MEMBERS)


def _recognizes(_headers: Headers, body: Any) -> bool:
    return is_slack(body)


def _read(_headers: Headers, body: Any) -> list[Notification]:
    try:
        return [members_of(body)]
    except PayloadError:
        return []


SENDER = KnownSender("Slack format", _recognizes, _read)
