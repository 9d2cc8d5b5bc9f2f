"""Ids in the blocks and attachments of senders, replaced before they reach Slack.

Slack sends us every click in a message of ours, also in blocks that a sender wrote: a sender that
could choose an `action_id` could have people press Bellhop's own buttons under another label.

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
# What a sender may give of blocks.
SENDER_FIELDS = ("blocks", "attachments")
# Slack takes nothing that is nested nearly as deep.
DEEPEST = 100


def replace_foreign_ids(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notification's content with other ids in its blocks and attachments.

    The new ids are unique in the message and the same for the same content. One that a sender
    changes from one version of a message to the next changes here as well: Slack wants that.
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
            # Tools that fill in a form leave an empty one, which is not an id.
            if name in ID_FIELDS and item not in ("", None)
            else _replace(item, numbers, depth + 1)
            for name, item in value.items()
        }
    return value


def _foreign_id(given: object, numbers: Iterator[int]) -> str:
    digest = hashlib.sha256(repr(given).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}{next(numbers)}.{digest[:16]}"
