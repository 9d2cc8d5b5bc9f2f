"""Validation of blocks, by type and surface.

See https://docs.slack.dev/reference/block-kit/blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_sandbox.blocks.elements import (
    ACTION_ELEMENTS,
    ELEMENTS,
    IMAGE,
    INPUT_ELEMENTS,
    SECTION_ELEMENTS,
    SLACK_FILE,
    text,
    text_kinds,
)
from slack_sandbox.blocks.rules import (
    Field,
    Rule,
    anything,
    array,
    at_least_one,
    boolean,
    either,
    integer,
    number,
    one_of,
    record,
    required,
    string,
    typed,
    url,
)


def _block(fields: Mapping[str, Field], *also: Rule) -> Rule:
    return record({"type": Field(anything), "block_id": Field(string(255, 1)), **fields}, *also)


_STYLE = Field(
    record({name: Field(boolean) for name in ("bold", "italic", "strike", "code", "underline")})
)
_INLINE = typed(
    {
        "text": record(
            {"type": Field(anything), "text": required(string(None, 1)), "style": _STYLE}
        ),
        "link": record(
            {
                "type": Field(anything),
                "url": required(string(3000, 1)),
                "text": Field(string()),
                "unsafe": Field(boolean),
                "style": _STYLE,
            }
        ),
        "emoji": record(
            {
                "type": Field(anything),
                "name": required(string(None, 1)),
                "unicode": Field(string()),
                "skin_tone": Field(integer(1, 6)),
                "style": _STYLE,
            }
        ),
        "user": record(
            {"type": Field(anything), "user_id": required(string(None, 1)), "style": _STYLE}
        ),
        "usergroup": record(
            {"type": Field(anything), "usergroup_id": required(string(None, 1)), "style": _STYLE}
        ),
        "channel": record(
            {"type": Field(anything), "channel_id": required(string(None, 1)), "style": _STYLE}
        ),
        "broadcast": record(
            {
                "type": Field(anything),
                "range": required(one_of("here", "channel", "everyone")),
                "style": _STYLE,
            }
        ),
        "color": record({"type": Field(anything), "value": required(string(None, 1))}),
        "date": record(
            {
                "type": Field(anything),
                "timestamp": required(integer(0, 10**11)),
                "format": required(string(None, 1)),
                "url": Field(string()),
                "fallback": Field(string()),
                "style": _STYLE,
            }
        ),
    }
)
_INDENT = {"border": Field(integer(0, 1)), "indent": Field(integer(0, 8))}
_RICH_SECTION = record({"type": Field(anything), "elements": required(array(_INLINE))})
_RICH_TEXT = typed(
    {
        "rich_text_section": _RICH_SECTION,
        "rich_text_list": record(
            {
                "type": Field(anything),
                "elements": required(array(typed({"rich_text_section": _RICH_SECTION}))),
                "style": required(one_of("bullet", "ordered")),
                "offset": Field(integer(0, 10**6)),
                **_INDENT,
            }
        ),
        "rich_text_preformatted": record(
            {
                "type": Field(anything),
                "elements": required(array(_INLINE)),
                "language": Field(string()),
                "border": _INDENT["border"],
            }
        ),
        "rich_text_quote": record(
            {
                "type": Field(anything),
                "elements": required(array(_INLINE)),
                "border": _INDENT["border"],
            }
        ),
    }
)
_RICH_BLOCK = _block({"elements": required(array(_RICH_TEXT))})
_CELL = typed(
    {
        "raw_text": record({"type": Field(anything), "text": required(string(None, 1))}),
        "raw_number": record(
            {
                "type": Field(anything),
                "value": required(number),
                "text": Field(string(None, 1)),
            }
        ),
        "rich_text": _RICH_BLOCK,
    }
)


def _input_needs_no_button(value: Any, pointer: str, errors: list[str]) -> None:
    element = value.get("element")
    if isinstance(element, dict):
        typed(ELEMENTS, INPUT_ELEMENTS)(element, f"{pointer}/element", errors)


_CARD = _block(
    {
        "icon": Field(IMAGE),
        "slack_icon": Field(anything),
        "title": Field(text(150)),
        "subtitle": Field(text(150)),
        "hero_image": Field(IMAGE),
        "body": Field(text(200)),
        "subtext": Field(text(200)),
        "actions": Field(array(typed(ELEMENTS, {"button"}), 3, 1)),
    },
    at_least_one("hero_image", "title", "actions", "body"),
)

BLOCKS: dict[str, Rule] = {
    "section": _block(
        {
            "text": Field(text(3000)),
            "fields": Field(array(text(2000), 10, 1)),
            "accessory": Field(typed(ELEMENTS, SECTION_ELEMENTS)),
            "expand": Field(boolean),
        },
        at_least_one("text", "fields"),
    ),
    "divider": _block({}),
    "header": _block({"text": required(text(150, plain=True)), "level": Field(integer(1, 4))}),
    "context": _block(
        {"elements": required(array(typed({"image": IMAGE, **text_kinds(3000)}), 10, 1))}
    ),
    "actions": _block({"elements": required(array(typed(ELEMENTS, ACTION_ELEMENTS), 25, 1))}),
    "image": _block(
        {
            "image_url": Field(url()),
            "slack_file": Field(SLACK_FILE),
            "alt_text": required(string(2000)),
            "title": Field(text(2000, plain=True)),
        },
        either("image_url", "slack_file"),
    ),
    "input": _block(
        {
            "label": required(text(2000, plain=True)),
            "element": required(anything),
            "dispatch_action": Field(boolean),
            "hint": Field(text(2000, plain=True)),
            "optional": Field(boolean),
        },
        _input_needs_no_button,
    ),
    "rich_text": _RICH_BLOCK,
    "markdown": _block({"text": required(string(12_000, 1))}),
    "table": _block(
        {
            "rows": required(array(array(_CELL, 20, 1), 100, 1)),
            "column_settings": Field(
                array(
                    record(
                        {
                            "align": Field(one_of("left", "center", "right")),
                            "is_wrapped": Field(boolean),
                        }
                    ),
                    20,
                )
            ),
        }
    ),
    "alert": _block(
        {
            "text": required(text(200)),
            "level": Field(one_of("default", "info", "warning", "error", "success")),
        }
    ),
    "card": _CARD,
    "carousel": _block({"elements": required(array(typed({"card": _CARD}), 10, 1))}),
}
"""All supported blocks. ``video``, ``call``, ``file``, ``context_actions``, ``task_card`` and
``plan`` are rejected as unsupported types, which is stricter than Slack.
"""

EVERYWHERE = frozenset(
    {"section", "divider", "header", "context", "actions", "image", "input", "rich_text"}
)
SURFACES: dict[str, frozenset[str]] = {
    "message": EVERYWHERE | {"markdown", "table", "card", "carousel"},
    "modal": EVERYWHERE | {"alert"},
    "home": EVERYWHERE,
}
"""The blocks allowed on each surface."""
MOST_BLOCKS = {"message": 50, "modal": 100, "home": 100}
