"""Replacement of ids in senders' blocks and attachments.

Slack reports every click in Bellhop's messages, including clicks in blocks from a sender. A sender
that could choose an `action_id` could trick people into pressing a Bellhop button under another
label.

https://docs.slack.dev/reference/block-kit/blocks has `block_id` and `action_id`,
https://docs.slack.dev/legacy/legacy-messaging/legacy-making-messages-interactive `callback_id`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

PREFIX = "foreign."
ID_FIELDS = frozenset({"action_id", "block_id", "callback_id"})
# The fields in which senders give blocks.
SENDER_FIELDS = ("blocks", "attachments")
# Far deeper than Slack accepts.
DEEPEST = 100


def replace_foreign_ids(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notification's content with replaced ids in its blocks and attachments.

    The new ids are unique in the message, and equal for equal content. If a sender changes an id in
    an update of a message, the new id changes too, as Slack requires.
    """
    numbers = count(1)
    replaced = {
        name: _replace(content[name], numbers, 0) for name in SENDER_FIELDS if name in content
    }
    return {**content, **replaced}


def _replace(value: Any, numbers: Iterator[int], depth: int) -> Any:
    if depth > DEEPEST:
        return None
    if isinstance(value, list):
        return [_replace(item, numbers, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            name: _foreign_id(item, numbers)
            # Tools that fill in a form leave empty ids.
            if name in ID_FIELDS and item not in ("", None)
            else _replace(item, numbers, depth + 1)
            for name, item in value.items()
        }
    return value


def _foreign_id(given: object, numbers: Iterator[int]) -> str:
    digest = hashlib.sha256(repr(given).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}{next(numbers)}.{digest[:16]}"
