"""Validation of Block Kit: valid input, and Slack's errors for invalid input."""

from __future__ import annotations

from typing import Any

import pytest

from slack_sandbox.blocks import check_blocks, check_view


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "text": _plain("Go"), "action_id": "go", **changes}


def _actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def _option(value: str = "v", **changes: Any) -> dict[str, Any]:
    return {"text": _plain("Choice"), "value": value, **changes}


GOOD: list[dict[str, Any]] = [
    {"type": "section", "text": _mrkdwn("x" * 3_000)},
    {"type": "section", "fields": [_mrkdwn("x" * 2_000)] * 10},
    {
        "type": "section",
        "text": _plain("Emoji :tada:") | {"emoji": True},
        "accessory": {"type": "image", "image_url": "http://127.0.0.1/a.png", "alt_text": "a"},
    },
    {"type": "header", "text": _plain("x" * 150)},
    {"type": "divider", "block_id": "x" * 255},
    {
        "type": "context",
        "elements": [
            _mrkdwn("small"),
            {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"},
        ],
    },
    _actions(*[_button(action_id=f"go-{index}") for index in range(25)]),
    _actions(
        _button(
            value="x" * 2_000,
            style="danger",
            url="https://example.com/",
            confirm={
                "title": _plain("Sure?"),
                "text": _mrkdwn("It is *gone* then."),
                "confirm": _plain("Yes"),
                "deny": _plain("No"),
                "style": "danger",
            },
        )
    ),
    _actions({"type": "static_select", "action_id": "s", "options": [_option()] * 100}),
    _actions(
        {
            "type": "static_select",
            "action_id": "s",
            "placeholder": _plain("Pick"),
            "option_groups": [{"label": _plain("Group"), "options": [_option()]}],
        }
    ),
    _actions({"type": "channels_select", "action_id": "c"}, {"type": "users_select"}),
    _actions({"type": "overflow", "action_id": "o", "options": [_option()] * 5}),
    _actions({"type": "checkboxes", "action_id": "b", "options": [_option()]}),
    {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"},
    {
        "type": "input",
        "label": _plain("Name"),
        "element": {"type": "plain_text_input", "action_id": "name", "max_length": 100},
        "hint": _plain("In full"),
        "optional": True,
    },
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "bold", "style": {"bold": True}},
                    {"type": "link", "url": "https://example.com/"},
                    {"type": "emoji", "name": "tada"},
                    {"type": "user", "user_id": "U1"},
                ],
            },
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [{"type": "rich_text_section", "elements": []}],
            },
        ],
    },
    {"type": "markdown", "text": "**bold**"},
    {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}]]},
    {"type": "table", "rows": [[{"type": "raw_number", "value": 1.5, "text": "1.5"}]]},
    {"type": "carousel", "elements": [{"type": "card", "title": _mrkdwn("A card")}]},
]

BAD: list[tuple[Any, str]] = [
    ({"type": "marquee"}, "unsupported type: marquee [json-pointer:/blocks/0/type]"),
    ({}, "missing required field: type [json-pointer:/blocks/0]"),
    ({"type": "alert", "text": _plain("x")}, "unsupported type: alert"),
    (
        {"type": "section", "text": _mrkdwn("x" * 3_001)},
        "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
    ),
    ({"type": "section", "text": _mrkdwn("")}, "must be more than 0 characters"),
    ({"type": "section"}, "must define either `text` or `fields`"),
    ({"type": "section", "text": "words"}, "must provide an object"),
    ({"type": "section", "fields": [_mrkdwn("x")] * 11}, "no more than 10 items allowed"),
    (
        {"type": "section", "fields": [_mrkdwn("x" * 2_001)]},
        "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
    ),
    ({"type": "header", "text": _plain("x" * 151)}, "must be less than 151 characters"),
    ({"type": "header", "text": _mrkdwn("x")}, "unsupported type: mrkdwn"),
    ({"type": "divider", "colour": "red"}, "invalid additional property: colour"),
    ({"type": "divider", "block_id": "x" * 256}, "must be less than 256 characters"),
    ({"type": "context", "elements": [_mrkdwn("x")] * 11}, "no more than 10 items allowed"),
    (_actions(*[_button(action_id=str(n)) for n in range(26)]), "no more than 25 items allowed"),
    (_actions(), "no fewer than 1 items allowed"),
    (_actions(_button(), _button()), "action_id `go` already exists"),
    (_actions(_button(text=_plain("x" * 76))), "must be less than 76 characters"),
    (_actions(_button(text=_mrkdwn("x"))), "unsupported type: mrkdwn"),
    (_actions(_button(action_id="x" * 256)), "must be less than 256 characters"),
    (_actions(_button(value="x" * 2_001)), "must be less than 2001 characters"),
    (_actions(_button(style="loud")), "must be a valid enum value"),
    (_actions(_button(url="javascript:alert(1)")), "invalid url"),
    (_actions(_button(confirm={"title": _plain("x")})), "missing required field: text"),
    (_actions({"type": "plain_text_input", "action_id": "x"}), "unsupported type"),
    (_actions({"type": "static_select", "action_id": "x"}), "must define exactly one of"),
    (
        _actions({"type": "static_select", "action_id": "s", "options": [_option()] * 101}),
        "no more than 100 items allowed",
    ),
    (
        _actions({"type": "overflow", "options": [_option(value="x" * 151)]}),
        "must be less than 151 characters",
    ),
    (
        _actions({"type": "datepicker", "initial_date": "tomorrow"}),
        "must be a date in the format YYYY-MM-DD",
    ),
    ({"type": "image", "image_url": "not a url", "alt_text": "x"}, "invalid url"),
    ({"type": "image", "image_url": "https://[", "alt_text": "x"}, "invalid url"),
    ({"type": "image", "image_url": "https://example.com/a.png"}, "missing required field"),
    (
        {"type": "input", "label": _plain("x"), "element": _button()},
        "unsupported type: button [json-pointer:/blocks/0/element/type]",
    ),
    ("words", "must provide an object"),
]


@pytest.mark.parametrize("block", GOOD, ids=lambda block: block["type"])
def test_valid_blocks_have_no_errors(block: dict[str, Any]) -> None:
    assert check_blocks([block]) == []


@pytest.mark.parametrize(("block", "complaint"), BAD)
def test_invalid_blocks_have_slacks_errors(block: Any, complaint: str) -> None:
    assert complaint in "; ".join(check_blocks([block]))


def test_a_message_has_at_most_fifty_blocks() -> None:
    assert check_blocks([{"type": "divider"}] * 50) == []
    assert check_blocks([{"type": "divider"}] * 51) == [
        "no more than 50 items allowed [json-pointer:/blocks]"
    ]


def test_block_ids_must_be_unique() -> None:
    twice = [{"type": "divider", "block_id": "same"}] * 2
    assert check_blocks(twice) == [
        "block_id `same` already exists [json-pointer:/blocks/1/block_id]"
    ]


def test_two_blocks_can_share_an_action_id() -> None:
    assert check_blocks([_actions(_button()), _actions(_button())]) == []


MODAL = {
    "type": "modal",
    "title": _plain("A modal"),
    "submit": _plain("Send"),
    "blocks": [
        {
            "type": "input",
            "label": _plain("Name"),
            "element": {"type": "plain_text_input", "action_id": "name"},
        }
    ],
}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"title": _plain("x" * 25)}, "must be less than 25 characters [json-pointer:/view/title"),
        ({"title": None}, "missing required field: title"),
        ({"submit": None}, "missing required field: submit"),
        ({"type": "popup"}, "unsupported type: popup [json-pointer:/view/type]"),
        ({"private_metadata": "x" * 3_001}, "must be less than 3001 characters"),
        ({"callback_id": "x" * 256}, "must be less than 256 characters"),
        ({"blocks": [{"type": "divider"}] * 101}, "no more than 100 items allowed"),
        ({"blocks": [{"type": "markdown", "text": "x"}]}, "unsupported type: markdown"),
        ({"colour": "red"}, "invalid additional property: colour"),
    ],
)
def test_invalid_views_have_slacks_errors(changes: dict[str, Any], complaint: str) -> None:
    assert check_view(MODAL) == []
    assert complaint in "; ".join(check_view({**MODAL, **changes}))


def test_a_modal_can_contain_an_alert() -> None:
    alert = {"type": "alert", "text": _plain("Careful"), "level": "warning"}
    assert check_view({**MODAL, "blocks": [alert]}) == []
