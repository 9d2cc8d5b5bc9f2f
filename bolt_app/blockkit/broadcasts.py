"""Conversion of broadcast and user group mentions to plain text.

https://docs.slack.dev/messaging/formatting-message-text#special-mentions and, for the elements of
rich text, https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Goes between the sign and the name: invisible, and prevents a mention.
_BREAK = "\u200b"
_SPECIAL = re.compile(r"<!(?!date\^)([^<>|]*)(?:\|([^<>]*))?>", re.IGNORECASE)
# The following text could close it.
_UNCLOSED = re.compile(r"<!(?!date\^)", re.IGNORECASE)
# Underscores mark emphasis, and end a name.
_NAME = re.compile(r"(?<![^\W_])@(?=(?:channel|here|everyone|group)(?![^\W_]))", re.IGNORECASE)
_GROUP = "group"
_RANGES = frozenset({"channel", "everyone", "here"})
# Fields that contain only a URL, which Slack does not parse as text.
_ADDRESSES = frozenset(
    {
        "author_icon",
        "author_link",
        "footer_icon",
        "from_url",
        "icon_url",
        "image_url",
        "link",
        "provider_icon_url",
        "thumb_url",
        "thumbnail_url",
        "title_link",
        "title_url",
        "url",
        "video_url",
    }
)


def without_broadcasts(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notification's content without mentions of whole channels and user groups.

    `link_names` and `parse` are removed, because with them Slack also finds such mentions in plain
    words. Mentions of people by id are kept.
    """
    return {
        # Checked addresses of people.
        name: value if name == "mentions" else _plain(value, name)
        for name, value in content.items()
        if name not in ("link_names", "parse")
    }


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return _plain_text(value, is_address=name in _ADDRESSES)
    if isinstance(value, list):
        return [_plain(item, name) for item in value]
    if isinstance(value, Mapping):
        if (words := _words_of_element(value)) is not None:
            return {"type": "text", "text": words}
        return {
            key: _plain(item, key)
            for key, item in value.items()
            if key not in ("link_names", "parse")
        }
    return value


def _plain_text(text: str, *, is_address: bool) -> str:
    if "<!" in text:
        text = _UNCLOSED.sub("&lt;!", _SPECIAL.sub(_words_of, text))
    if "@" in text and not is_address:
        text = _NAME.sub(f"@{_BREAK}", text)
    return text


def _words_of(found: re.Match[str]) -> str:
    """Return the text that replaces a mention: its label, or its target."""
    name = found[2] or found[1].partition("^")[0]
    if name.lower() == "subteam":
        name = _GROUP
    return f"@{_BREAK}{name.removeprefix('@')}"


def _words_of_element(element: Mapping[str, Any]) -> str | None:
    """Return the text that replaces an element of rich text, or None for other elements.

    It repeats nothing that the sender wrote: a sender may put such an element where Slack reads the
    new text as mrkdwn, such as among attachments.
    """
    match element.get("type"):
        case "broadcast":
            given = element.get("range")
            name = given if isinstance(given, str) and given in _RANGES else "channel"
        case "usergroup":
            name = _GROUP
        # The mention of a workspace: https://docs.slack.dev/tools/python-slack-sdk/reference/models/blocks
        case "team":
            name = "team"
        case _:
            return None
    return f"@{_BREAK}{name}"
