"""Block Kit's elements, as every answer of ours uses them.

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
# The action of an input that stands alone in its block.
VALUE = "value"


@dataclass(frozen=True)
class Reply:
    """An answer: `text` is what screen readers and banners use."""

    text: str = field(repr=False)
    blocks: list[Block]


def plain_reply(text: str) -> Reply:
    """Say one thing in mrkdwn."""
    return Reply(text=text, blocks=[section(text)])


def date(at: datetime) -> str:
    """Return a date that Slack writes in the reader's own language and time zone."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}}|{at:%d %B %Y}>"


def mrkdwn(text: str, limit: int = SECTION_LIMIT) -> Block:
    """Return a text object, cut where it is longer than Slack takes."""
    return {"type": "mrkdwn", "text": cut(text, limit)}


def plain(text: str) -> Block:
    """Return a text object in which nothing means anything but emoji."""
    return {"type": "plain_text", "text": text}


def literal(text: str, limit: int = SECTION_LIMIT) -> Block:
    """Return a text object in which nothing means anything, emoji included."""
    return {"type": "plain_text", "text": cut(text, limit), "emoji": False}


def section(text: str, accessory: Block | None = None) -> Block:
    """Return a section of mrkdwn, with something at its right side."""
    block: Block = {"type": "section", "text": mrkdwn(text)}
    return block if accessory is None else {**block, "accessory": accessory}


def context(text: str) -> Block:
    """Return small mrkdwn."""
    return {"type": "context", "elements": [mrkdwn(text)]}


def actions(*elements: Block) -> Block:
    """Return a row of buttons."""
    return {"type": "actions", "elements": list(elements)}


def button(label: str, action_id: str, **more: Any) -> Block:
    """Return a button; `more` is its `value`, `style`, `url` or `confirm`.

    The value is given as named fields; `ValueSigner.sign_blocks` makes it text.
    """
    return {"type": "button", "text": plain(label), "action_id": action_id, **more}


def overflow(action_id: str, labels: Mapping[str, str]) -> Block:
    """Return a menu behind three dots, of up to five labels by their values."""
    options = [option(value, label) for value, label in labels.items()]
    return {"type": "overflow", "action_id": action_id, "options": options}


def header(text: str) -> Block:
    """Return a heading."""
    return {"type": "header", "text": plain(text)}


def input_block(
    block_id: str, label: str, element: Block, hint: str = "", *, optional: bool = False
) -> Block:
    """Return an input of a modal; `element` gets the action `VALUE`."""
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "optional": optional,
        "element": {**element, "action_id": VALUE},
    }
    return {**block, "hint": plain(hint)} if hint else block


def text_input(block_id: str, label: str, hint: str, *, optional: bool = False) -> Block:
    """Return an input for one line of text."""
    return input_block(block_id, label, {"type": "plain_text_input"}, hint, optional=optional)


def option(value: str, label: str, description: str = "") -> Block:
    """Return one of several to choose from."""
    chosen: Block = {"text": plain(label), "value": value}
    return {**chosen, "description": plain(description)} if description else chosen


def modal(callback_id: str, title: str, submit: str, blocks: list[Block]) -> Block:
    """Return a modal that asks for something (https://docs.slack.dev/surfaces/modals)."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title),
        "submit": plain(submit),
        "close": plain("Cancel"),
        "blocks": blocks,
    }


def info_modal(title: str, blocks: list[Block]) -> Block:
    """Return a modal that only tells something."""
    return {"type": "modal", "title": plain(title), "close": plain("Close"), "blocks": blocks}


def confirmation(title: str, text: str, yes: str) -> Block:
    """Return the dialog that asks before a button does harm."""
    return {
        "title": plain(title),
        "text": mrkdwn(text, 300),
        "confirm": plain(yes),
        "deny": plain("Cancel"),
        "style": "danger",
    }
