"""Builders of Block Kit elements.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bolt_app.blockkit.mrkdwn import moment as moment
from bolt_app.blockkit.text import cut

Block = dict[str, Any]

SECTION_LIMIT = 3000
# The action id of the only input in a block.
VALUE = "value"


@dataclass(frozen=True)
class Reply:
    """An answer: `text` is what screen readers and banners use."""

    text: str = field(repr=False)
    blocks: list[Block] = field(repr=False)


def plain_reply(text: str) -> Reply:
    """Say one thing in mrkdwn."""
    return Reply(text=text, blocks=[section(text)])


def date(at: datetime) -> str:
    """Return a date that Slack formats in the reader's language and time zone."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}}|{at:%d %B %Y}>"


def mrkdwn(text: str, limit: int = SECTION_LIMIT) -> Block:
    """Return a mrkdwn text object, truncated to Slack's limit."""
    return {"type": "mrkdwn", "text": cut(text, limit)}


def plain(text: str) -> Block:
    """Return a plain text object, in which only emoji have a meaning."""
    return {"type": "plain_text", "text": text}


def literal(text: str, limit: int = SECTION_LIMIT) -> Block:
    """Return a plain text object without any markup or emoji."""
    return {"type": "plain_text", "text": cut(text, limit), "emoji": False}


def section(text: str, accessory: Block | None = None) -> Block:
    """Return a section of mrkdwn, with an optional accessory."""
    block: Block = {"type": "section", "text": mrkdwn(text)}
    return block if accessory is None else {**block, "accessory": accessory}


def context(text: str) -> Block:
    """Return a context block of mrkdwn."""
    return {"type": "context", "elements": [mrkdwn(text)]}


def actions(*elements: Block) -> Block:
    """Return an actions block."""
    return {"type": "actions", "elements": list(elements)}


def button(label: str, action_id: str, **more: Any) -> Block:
    """Return a button; `more` is its `value`, `style`, `url` or `confirm`.

    The value is a mapping of fields, which `ValueSigner.sign_blocks` signs.
    """
    return {"type": "button", "text": plain(label), "action_id": action_id, **more}


def overflow(action_id: str, labels: Mapping[str, str]) -> Block:
    """Return an overflow menu of up to five labels by value."""
    options = [option(value, label) for value, label in labels.items()]
    return {"type": "overflow", "action_id": action_id, "options": options}


def header(text: str) -> Block:
    """Return a header block."""
    return {"type": "header", "text": plain(text)}


def input_block(
    block_id: str, label: str, element: Block, hint: str = "", *, optional: bool = False
) -> Block:
    """Return an input block; its element gets the action id `VALUE`."""
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "optional": optional,
        "element": {**element, "action_id": VALUE},
    }
    return {**block, "hint": plain(hint)} if hint else block


def text_input(block_id: str, label: str, hint: str, *, optional: bool = False) -> Block:
    """Return a single-line text input."""
    return input_block(block_id, label, {"type": "plain_text_input"}, hint, optional=optional)


def option(value: str, label: str, description: str = "") -> Block:
    """Return an option of a menu or of radio buttons."""
    chosen: Block = {"text": plain(label), "value": value}
    return {**chosen, "description": plain(description)} if description else chosen


def modal(callback_id: str, title: str, submit: str, blocks: list[Block]) -> Block:
    """Return a modal with a submit button (https://docs.slack.dev/surfaces/modals)."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title),
        "submit": plain(submit),
        "close": plain("Cancel"),
        "blocks": blocks,
    }


def info_modal(title: str, blocks: list[Block]) -> Block:
    """Return a modal without input."""
    return {"type": "modal", "title": plain(title), "close": plain("Close"), "blocks": blocks}


def confirmation(title: str, text: str, yes: str) -> Block:
    """Return the confirmation dialog of a destructive button."""
    return {
        "title": plain(title),
        "text": mrkdwn(text, 300),
        "confirm": plain(yes),
        "deny": plain("Cancel"),
        "style": "danger",
    }
