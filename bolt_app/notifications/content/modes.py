"""Modes of notifications and deliveries."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """Effect of a notification with the key of an earlier one.

    UPDATE: changes the earlier message.
    THREAD: replies in the thread of the earlier message.
    NEW: posts a message.
    """

    UPDATE = "update"
    THREAD = "thread"
    NEW = "new"


class OnUnknown(StrEnum):
    """Handling of a delivery that Slack may have posted or not.

    RESEND: posts it again.
    HOLD: leaves it unconfirmed.
    """

    RESEND = "resend"
    HOLD = "hold"


class DeliveryMode(StrEnum):
    """What a delivery does in Slack.

    UPDATE: changes the earlier message with its key, or posts a first one.
    THREAD: replies to the earlier message with its key, or posts a first one.
    NEW: posts a message.
    REFRESH: shows a message of an incident again.
    REMIND: posts in the message's thread that a snooze is over.
    ESCALATE: posts to more recipients if nobody has answered by then.
    EDIT: changes the message with its key, and never posts one.
    DELETE: deletes the message with its key.
    REACT: adds an emoji to the message with its key.
    """

    UPDATE = "update"
    THREAD = "thread"
    NEW = "new"
    REFRESH = "refresh"
    REMIND = "remind"
    ESCALATE = "escalate"
    EDIT = "edit"
    DELETE = "delete"
    REACT = "react"


# Changes of a message that was posted by another delivery.
CHANGES = frozenset({DeliveryMode.EDIT, DeliveryMode.DELETE, DeliveryMode.REACT})
# Deliveries that say nothing, and so are in no list of a notification's deliveries.
SILENT = frozenset({DeliveryMode.REFRESH, DeliveryMode.DELETE, DeliveryMode.REACT})
# Deliveries that Bellhop adds to a notification later.
FOLLOW_UPS = frozenset({DeliveryMode.REFRESH, DeliveryMode.REMIND})
