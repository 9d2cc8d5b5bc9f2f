"""Modes of deliveries."""

from __future__ import annotations

from enum import StrEnum


class DeliveryMode(StrEnum):
    """What a delivery does in Slack.

    UPDATE: changes the earlier message with its key, or posts a first one.
    THREAD: replies to the earlier message with its key, or posts a first one.
    NEW: posts a message.
    REFRESH: shows a message of an incident again.
    REMIND: posts in the message's thread that a snooze is over.
    ESCALATE: posts to more recipients if nobody has answered by then.
    """

    UPDATE = "update"
    THREAD = "thread"
    NEW = "new"
    REFRESH = "refresh"
    REMIND = "remind"
    ESCALATE = "escalate"
