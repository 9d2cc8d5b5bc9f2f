"""Whole lists of blocks and whole views, checked as Slack checks them."""

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
    anything,
    array,
    boolean,
    complain,
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
    """What Slack finds wrong with blocks, in its words; nothing when they are good.

    It cannot fetch images from the hosts in ``unreachable``.

    Each complaint ends with the JSON pointer of what is meant
    (https://docs.slack.dev/block-kit).
    """
    complaints: list[str] = []
    array(typed(BLOCKS, SURFACES[surface]), MOST_BLOCKS[surface])(blocks, pointer, complaints)
    if not complaints:
        _check_unique_ids(blocks, pointer, complaints)
        _check_totals(blocks, pointer, complaints)
        _check_images(blocks, pointer, unreachable, complaints)
    return complaints


def check_view(view: Any, *, unreachable: Collection[str] = ()) -> list[str]:
    """What Slack finds wrong with a view (https://docs.slack.dev/reference/views)."""
    complaints: list[str] = []
    if not isinstance(view, dict):
        return ["must provide an object [json-pointer:/view]"]
    kind = view.get("type")
    if kind not in ("modal", "home"):
        return [f"unsupported type: {kind} [json-pointer:/view/type]"]
    (_MODAL if kind == "modal" else _HOME)(view, "/view", complaints)
    if not complaints:
        surface: Surface = "modal" if kind == "modal" else "home"
        complaints += check_blocks(view["blocks"], surface, "/view/blocks", unreachable=unreachable)
    if not complaints and kind == "modal" and not view.get("submit") and _has_input(view):
        complain(complaints, "missing required field: submit", "/view")
    if len(json.dumps(view)) > VIEW_BYTES:
        complain(complaints, f"view must be less than {VIEW_BYTES} bytes", "/view")
    return complaints


def elements_of(blocks: list[JsonDict]) -> Iterator[tuple[JsonDict, JsonDict]]:
    """Each element that can be acted on, with the block it stands in."""
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
    """The blocks with the ``block_id`` and ``action_id`` values Slack makes up where none is given.

    What was given stays as it is; what need not change is not copied.
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


def _check_unique_ids(blocks: list[JsonDict], pointer: str, complaints: list[str]) -> None:
    seen: set[str] = set()
    for place, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id is not None and block_id in seen:
            text_of = f"block_id `{block_id}` already exists"
            complain(complaints, text_of, f"{pointer}/{place}/block_id")
        seen.add(block_id or "")
        action_ids = [element.get("action_id") for _, element in elements_of([block])]
        given = [one for one in action_ids if one is not None]
        for one in sorted({one for one in given if given.count(one) > 1}):
            complain(complaints, f"action_id `{one}` already exists", f"{pointer}/{place}")


def _check_totals(blocks: list[JsonDict], pointer: str, complaints: list[str]) -> None:
    written = sum(len(one["text"]) for one in blocks if one["type"] == "markdown")
    if written > 12_000:
        complain(complaints, "markdown text must be less than 12001 characters", pointer)
    if sum(one["type"] == "table" for one in blocks) > 1:
        complain(complaints, "only one table is allowed", pointer)


def _check_images(
    value: Any, pointer: str, unreachable: Collection[str], complaints: list[str]
) -> None:
    if isinstance(value, list):
        for place, item in enumerate(value):
            _check_images(item, f"{pointer}/{place}", unreachable, complaints)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "image_url" and urlsplit(item).hostname in unreachable:
                complain(complaints, "downloading image failed", f"{pointer}/{name}")
            else:
                _check_images(item, f"{pointer}/{name}", unreachable, complaints)


def _has_input(view: JsonDict) -> bool:
    return any(block["type"] == "input" for block in view["blocks"])


def _made_up() -> str:
    return f"made{next(_SERIAL):x}"
