"""Recipients: `#name`, a channel's id, `@e-mail`, a person's id, or `topic:name`."""

from __future__ import annotations

import re

from bolt_app.blockkit.text import cut
from bolt_app.slack_ids import is_person
from bolt_app.text_forms import lowered, normalized, typed, visible

_ID = re.compile(r"[CGDUW][A-Z0-9]{7,63}")
_NAME = re.compile(r"#[^\s#@,<>\x00-\x1f]{1,80}")
_EMAIL = re.compile(r"@?([^\s@<>,\x00-\x1f]{1,64}@[^\s@<>,\x00-\x1f]{1,255})")
_TOPIC = re.compile(r"[a-z0-9_/.-]{1,80}")
_TOPIC_CHARACTERS = re.compile(r"[^a-z0-9_/.-]+")
_TOPIC_PREFIX = "topic:"
# Longer than any address, even with characters that its stored form is without.
ADDRESS_LENGTH = 400
HELP = "use #name, a channel's id (C…), @e-mail, a person's id (U…) or topic:name"


def normal_address(value: object) -> str:
    """Return an address in its stored form.

    Raises:
        ValueError: it is not a valid address.
    """
    text = visible(_of_length(value)) if isinstance(value, str) else ""
    if _ID.fullmatch(text):
        return text
    if text.startswith("#") and _NAME.fullmatch(name := f"#{normal_channel_name(text)}"):
        return name
    if text[: len(_TOPIC_PREFIX)].lower() == _TOPIC_PREFIX:
        return _TOPIC_PREFIX + normal_topic(text)
    email = _EMAIL.fullmatch(lowered(text))
    if email is not None:
        return f"@{email[1]}"
    raise ValueError(f"{_shown(text)} is not a recipient: {HELP}")


def normal_channel_name(name: str) -> str:
    """Return a channel's name, given with or without `#`, in its stored form.

    Names in Slack are in lower case (https://docs.slack.dev/reference/objects/conversation-object).
    """
    return lowered(name).removeprefix("#")


def email_address(email: str) -> str:
    """Return the address of the person who has an e-mail address."""
    return f"@{lowered(email)}"


def normal_person(value: object) -> str:
    """Return a person's address in its stored form.

    Raises:
        ValueError: it is not a person's address.
    """
    address = normal_address(value)
    if address[0] == "@" or is_person(address):
        return address
    raise ValueError(f"{_shown(address)} is not a person: use @e-mail or a person's id (U…)")


def known_recipient(target: str, address: str) -> str | None:
    """Return the recipient of a delivery if it is a person who is known before it goes out.

    An e-mail address may be another person's by then.

    Args:
        target: the recipient as the sender or the subscription names it.
        address: of its lane.
    """
    return address if is_person(address) and not target.startswith("@") else None


def normal_topic(value: str) -> str:
    """Return a topic's name in its stored form.

    Raises:
        ValueError: it is not a valid name.
    """
    name = lowered(typed(_of_length(value))).removeprefix(_TOPIC_PREFIX).strip()
    if not _TOPIC.fullmatch(name):
        near = _near_topic(name)
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(
            f"{_shown(name)} is not a topic: use up to 80 letters from a to z, digits and "
            f"- _ / .{hint}"
        )
    return name


def topic_of(address: str) -> str | None:
    """Return the topic's name in a `topic:` address; None for other addresses."""
    if not address.startswith(_TOPIC_PREFIX):
        return None
    return address.removeprefix(_TOPIC_PREFIX)


def _of_length(text: str) -> str:
    """Return a text that may be an address: normalizing a long one takes long.

    Raises:
        ValueError: it is too long.
    """
    if len(text) > ADDRESS_LENGTH:
        raise ValueError(f"{_shown(text)} is too long: {HELP}")
    return text


def _near_topic(name: str) -> str:
    """Return a valid name close to an invalid one: without accents, with dashes."""
    plain = normalized("NFKD", name).encode("ascii", "ignore").decode()
    near = _TOPIC_CHARACTERS.sub("-", plain).strip("-/.")
    return near if _TOPIC.fullmatch(near) else ""


def _shown(text: str) -> str:
    return repr(cut(text, 80))
