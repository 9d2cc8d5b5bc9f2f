"""Slack ids: their forms, and the placeholder for a deleted person."""

from __future__ import annotations

# Replaces the id of a person whose data was deleted, so that records of their actions stay without
# naming them. Slack has no such id.
DELETED_PERSON = "deleted"
# Stands for the recipient of a delivery whose e-mail address led to nobody.
NOBODY = "nobody"


def is_id(address: str) -> bool:
    """Whether `address` is a Slack id that accepts messages: of a channel or a person."""
    return address[0] in "CGDUW"


def is_conversation(address: str) -> bool:
    """Whether `address` is the id of a direct message, which leads to the person in it."""
    return address[0] == "D"


def is_destination(address: str) -> bool:
    """Whether `address` is the id of a channel or person; other addresses lead to one."""
    return is_id(address) and not is_conversation(address)


def is_channel(address: str) -> bool:
    """Whether `address` is a channel's id."""
    return address[0] in "CG"


def is_person(address: str) -> bool:
    """Whether `address` is a person's id, which means their direct messages with the bot.

    https://docs.slack.dev/reference/methods/chat.postMessage#channels
    """
    return address[0] in "UW"


def leads_to_person(address: str) -> bool:
    """Whether `address` means a person: by their id, e-mail address or direct message."""
    return address[0] == "@" or is_person(address) or is_conversation(address)


def looks_like_channel_id(text: str) -> bool:
    """Whether `text` has the form of a channel's or conversation's id (C…, G… or D…)."""
    return len(text) >= 9 and text[0] in "CGD" and text.isalnum() and text.isupper()
