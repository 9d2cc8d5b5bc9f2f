"""Whom a notification is for: `#name`, a channel's id, `@e-mail`, a person's id, `topic:name`."""

from __future__ import annotations

import re

from bolt_app.notifications.plain_text import cut

_ID = re.compile(r"[CGDUW][A-Z0-9]{7,63}")
_NAME = re.compile(r"#[^\s#@,<>\x00-\x1f]{1,80}")
_EMAIL = re.compile(r"@?([^\s@<>,\x00-\x1f]{1,64}@[^\s@<>,\x00-\x1f]{1,255})")
_TOPIC = re.compile(r"[A-Za-z0-9_/.-]{1,80}")
_TOPIC_PREFIX = "topic:"
HELP = "give #name, a channel's id (C…), @e-mail, a person's id (U…) or topic:name"


def normal_address(value: object) -> str:
    """Return an address in the one form it is stored in.

    Raises:
        ValueError: it is none.
    """
    text = value.strip() if isinstance(value, str) else ""
    if _ID.fullmatch(text):
        return text
    if _NAME.fullmatch(text):
        return text.lower()
    if text.startswith(_TOPIC_PREFIX):
        return _TOPIC_PREFIX + normal_topic(text.removeprefix(_TOPIC_PREFIX))
    email = _EMAIL.fullmatch(text)
    if email is not None:
        return f"@{email[1].lower()}"
    raise ValueError(f"{_shown(text)} is no address: {HELP}")


def normal_person(value: object) -> str:
    """Return a person's address in the one form it is stored in.

    Raises:
        ValueError: it is none.
    """
    address = normal_address(value)
    if address[0] == "@" or is_person(address):
        return address
    raise ValueError(f"{_shown(address)} is nobody: give @e-mail or a person's id (U…)")


def normal_topic(value: str) -> str:
    """Return a topic's name in the one form it is stored in.

    Raises:
        ValueError: it is none.
    """
    name = value.strip()
    if not _TOPIC.fullmatch(name):
        raise ValueError(
            f"{_shown(name)} is no topic: give up to 80 letters, digits, and any of - _ / ."
        )
    return name.lower()


def topic_of(address: str) -> str | None:
    """Return the name of the topic that `address` stands for; None where it is no topic."""
    if not address.startswith(_TOPIC_PREFIX):
        return None
    return address.removeprefix(_TOPIC_PREFIX)


def is_id(address: str) -> bool:
    """Whether `address` is an id of Slack's, which can be posted to: a channel's or a person's."""
    return address[0] in "CGDUW"


def is_person(address: str) -> bool:
    """Whether `address` is a person's id, which stands for their direct message with the bot.

    https://docs.slack.dev/reference/methods/chat.postMessage#channels
    """
    return address[0] in "UW"


def _shown(text: str) -> str:
    return repr(cut(text, 80))
