"""Validation of lists of blocks and of views."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any, Literal
from urllib.parse import urlsplit

from slack_sandbox.blocks.elements import text
from slack_sandbox.blocks.layout import BLOCKS, MOST_BLOCKS, SURFACES
from slack_sandbox.blocks.rules import (
    Field,
    add_error,
    anything,
    array,
    boolean,
    record,
    required,
    string,
    typed,
)

Surface = Literal["message", "modal", "home"]
JsonDict = dict[str, Any]

VIEW_BYTES = 250_000
_SERIAL = count(1)


def check_blocks(
    blocks: Any,
    surface: Surface = "message",
    pointer: str = "/blocks",
    *,
    unreachable: Collection[str] = (),
) -> list[str]:
    """Slack's errors for a list of blocks; empty if it is valid.

    Images from the hosts in ``unreachable`` cannot be fetched. Each error ends with the JSON
    pointer of the invalid value (https://docs.slack.dev/block-kit).
    """
    errors: list[str] = []
    array(typed(BLOCKS, SURFACES[surface]), MOST_BLOCKS[surface])(blocks, pointer, errors)
    if not errors:
        _check_unique_ids(blocks, pointer, errors)
        _check_totals(blocks, pointer, errors)
        _check_images(blocks, pointer, unreachable, errors)
    return errors


def check_view(view: Any, *, unreachable: Collection[str] = ()) -> list[str]:
    """Slack's errors for a view (https://docs.slack.dev/reference/views)."""
    errors: list[str] = []
    if not isinstance(view, dict):
        return ["must provide an object [json-pointer:/view]"]
    kind = view.get("type")
    if kind not in ("modal", "home"):
        return [f"unsupported type: {kind} [json-pointer:/view/type]"]
    (_MODAL if kind == "modal" else _HOME)(view, "/view", errors)
    if not errors:
        surface: Surface = "modal" if kind == "modal" else "home"
        errors += check_blocks(view["blocks"], surface, "/view/blocks", unreachable=unreachable)
    if not errors and kind == "modal" and not view.get("submit") and _has_input(view):
        add_error(errors, "missing required field: submit", "/view")
    if len(json.dumps(view)) > VIEW_BYTES:
        add_error(errors, f"view must be less than {VIEW_BYTES} bytes", "/view")
    return errors


def elements_of(blocks: list[JsonDict]) -> Iterator[tuple[JsonDict, JsonDict]]:
    """Each interactive element, with its block."""
    for block in blocks:
        found = [block.get("accessory"), block.get("element")]
        if block.get("type") in ("actions", "card"):
            found += block.get("elements") or block.get("actions") or []
        for element in found:
            if isinstance(element, dict) and element.get("type") != "image":
                yield block, element
        if block.get("type") == "carousel":
            yield from elements_of(block.get("elements") or [])


def with_ids(blocks: list[JsonDict]) -> list[JsonDict]:
    """The blocks with generated ``block_id`` and ``action_id`` values where they are missing.

    Existing ids are kept; unchanged parts are not copied.
    """
    return [_with_action_ids({"block_id": _made_up(), **block}) for block in blocks]


def _with_action_ids(block: JsonDict) -> JsonDict:
    if all("action_id" in element for _, element in elements_of([block])):
        return block
    copy: JsonDict = json.loads(json.dumps(block))
    for _, element in elements_of([copy]):
        element.setdefault("action_id", _made_up())
    return copy


_SHARED = {
    "type": Field(anything),
    "blocks": required(array(anything, 100)),
    "private_metadata": Field(string(3000)),
    "callback_id": Field(string(255)),
    "external_id": Field(string(255)),
}
_HOME = record(_SHARED)
_MODAL = record(
    {
        **_SHARED,
        "title": required(text(24, plain=True)),
        "submit": Field(text(24, plain=True)),
        "close": Field(text(24, plain=True)),
        "clear_on_close": Field(boolean),
        "notify_on_close": Field(boolean),
        "submit_disabled": Field(boolean),
    }
)


def _check_unique_ids(blocks: list[JsonDict], pointer: str, errors: list[str]) -> None:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id is not None and block_id in seen:
            text_of = f"block_id `{block_id}` already exists"
            add_error(errors, text_of, f"{pointer}/{index}/block_id")
        seen.add(block_id or "")
        action_ids = [element.get("action_id") for _, element in elements_of([block])]
        explicit = [action_id for action_id in action_ids if action_id is not None]
        for repeated in sorted(
            {action_id for action_id in explicit if explicit.count(action_id) > 1}
        ):
            add_error(errors, f"action_id `{repeated}` already exists", f"{pointer}/{index}")


def _check_totals(blocks: list[JsonDict], pointer: str, errors: list[str]) -> None:
    written = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if written > 12_000:
        add_error(errors, "markdown text must be less than 12001 characters", pointer)
    if sum(block["type"] == "table" for block in blocks) > 1:
        add_error(errors, "only one table is allowed", pointer)


def _check_images(
    value: Any, pointer: str, unreachable: Collection[str], errors: list[str]
) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_images(item, f"{pointer}/{index}", unreachable, errors)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "image_url" and urlsplit(item).hostname in unreachable:
                add_error(errors, "downloading image failed", f"{pointer}/{name}")
            else:
                _check_images(item, f"{pointer}/{name}", unreachable, errors)


def _has_input(view: JsonDict) -> bool:
    return any(block["type"] == "input" for block in view["blocks"])


def _made_up() -> str:
    return f"made{next(_SERIAL):x}"
