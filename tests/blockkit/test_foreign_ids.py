"""Ids in senders' blocks: none reaches Slack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.blockkit.foreign_ids import ID_FIELDS, PREFIX, replace_foreign_ids
from bolt_app.notifications.content.message import render
from bolt_app.notifications.incidents.blocks import ACTION_IDS
from bolt_app.slack import ids
from slack_sandbox.blocks.check import check_blocks
from slack_sandbox.blocks.elements import (
    ACTION_ELEMENTS,
    ELEMENTS,
    INPUT_ELEMENTS,
    SECTION_ELEMENTS,
)
from slack_sandbox.blocks.layout import BLOCKS

OWN_IDS = sorted(ids.ACTIONS | ACTION_IDS | {ids.LINK_PROFILE})
PLAIN = {"type": "plain_text", "text": "x"}
OPTION = {"text": PLAIN, "value": ids.REVOKE_API_KEY}
CONFIRM = {"title": PLAIN, "text": PLAIN, "confirm": PLAIN, "deny": PLAIN}


def ids_in(value: Any) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            yield from ids_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name in ID_FIELDS:
                yield item
            yield from ids_in(item)


def is_foreign(id_: object) -> bool:
    return isinstance(id_, str) and id_.startswith(PREFIX)


def element(kind: str, action_id: str) -> dict[str, Any]:
    if kind == "image":
        return {"type": kind, "image_url": "https://example.com/a.png", "alt_text": "x"}
    made: dict[str, Any] = {"type": kind, "action_id": action_id}
    if kind == "button":
        return made | {
            "text": PLAIN,
            "value": "v",
            "url": "https://example.com",
            "confirm": CONFIRM,
        }
    if "select" in kind and "static" not in kind:
        return made | {"placeholder": PLAIN}
    if kind in ("overflow", "checkboxes", "radio_buttons") or "static_select" in kind:
        return made | {"options": [OPTION]}
    if kind == "number_input":
        return made | {"is_decimal_allowed": False}
    return made


def blocks_with(kind: str, own_id: str) -> list[dict[str, Any]]:
    """Return every block that accepts the element, with Bellhop's ids in every id field."""
    made = element(kind, own_id)
    found: list[dict[str, Any]] = []
    if kind in ACTION_ELEMENTS:
        found.append({"type": "actions", "elements": [made]})
    if kind in SECTION_ELEMENTS:
        found.append({"type": "section", "text": PLAIN, "accessory": made})
    if kind in INPUT_ELEMENTS:
        found.append({"type": "input", "label": PLAIN, "element": made})
    if kind == "image":
        found.append({"type": "context", "elements": [made]})
    if kind == "button":
        card = {"type": "card", "title": PLAIN, "actions": [made]}
        found += [card, {"type": "carousel", "elements": [{**card, "block_id": "card"}]}]
    return [{**block, "block_id": own_id} for block in found]


@pytest.mark.parametrize("kind", sorted(ELEMENTS))
def test_no_id_of_an_element_survives(kind: str) -> None:
    for own_id in OWN_IDS:
        blocks = blocks_with(kind, own_id)
        assert blocks

        message = render({"blocks": blocks, "attachments": [{"blocks": blocks}]})

        found = list(ids_in(message))
        assert len(found) == len(list(ids_in(blocks))) * 2
        assert all(is_foreign(item) for item in found)
        assert len(set(found)) == len(found)
        assert max(len(str(item)) for item in found) <= 255
        assert check_blocks(message["blocks"]) == []


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_no_id_of_a_block_survives(kind: str) -> None:
    blocks = [{"type": kind, "block_id": ids.UNLINK_PROFILE, "elements": [{"action_id": "x"}]}]

    assert all(is_foreign(item) for item in ids_in(render({"blocks": blocks})))
    under_title = render({"title": "Hello", "severity": "error", "blocks": blocks})
    assert all(is_foreign(item) for item in ids_in(under_title))


@pytest.mark.parametrize("own_id", OWN_IDS)
def test_legacy_buttons_get_a_foreign_callback(own_id: str) -> None:
    pressed = {"name": own_id, "text": "View", "type": "button", "value": "1"}
    attachment = {"text": "x", "callback_id": own_id, "actions": [pressed]}

    [sent] = render({"attachments": [attachment]})["attachments"]

    assert is_foreign(sent["callback_id"])
    assert sent["actions"] == [pressed]


def test_everything_else_stays_as_it_is() -> None:
    made = element("button", "mine")
    content = {
        "text": "action_id",
        "blocks": [
            {"type": "actions", "elements": [made, {"type": "static_select", "options": [OPTION]}]},
            {"type": "section", "text": {"type": "mrkdwn", "text": "block_id"}, "block_id": ""},
        ],
        "attachments": [{"callback_id": "", "color": "danger", "fields": [{"title": "x"}]}],
    }

    replaced = replace_foreign_ids(content)

    action_id = replaced["blocks"][0]["elements"][0].pop("action_id")
    del made["action_id"]
    assert is_foreign(action_id)
    assert replaced == content


def test_the_same_content_has_the_same_ids() -> None:
    content = {"blocks": [{"type": "divider", "block_id": "a"}, {"type": "divider"}]}

    assert replace_foreign_ids(content) == replace_foreign_ids(content)
    other = {"blocks": [{"type": "divider", "block_id": "b"}, {"type": "divider"}]}
    assert replace_foreign_ids(content) != replace_foreign_ids(other)


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=10) | st.sampled_from(OWN_IDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*sorted(ID_FIELDS), "elements", "accessory", "blocks", "actions"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(_JSON)
def test_no_id_survives_anywhere(value: Any) -> None:
    sent = replace_foreign_ids({"blocks": [value], "attachments": [{"blocks": value}]})

    found = [item for item in ids_in(sent) if item not in ("", None)]
    assert all(is_foreign(item) for item in found)
    assert len(set(found)) == len(found)


def test_too_deeply_nested_values_are_removed() -> None:
    deep: Any = {"action_id": ids.REVOKE_API_KEY}
    for _ in range(500):
        deep = [deep]

    assert ids.REVOKE_API_KEY not in json.dumps(replace_foreign_ids({"blocks": deep}))
