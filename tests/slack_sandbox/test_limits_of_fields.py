"""Every documented limit of a field: at the limit, and one beyond.

The figures are those of https://docs.slack.dev/reference/block-kit and
https://docs.slack.dev/reference/views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slack_sandbox.attachments import check_attachment
from slack_sandbox.blocks import check_blocks, check_view
from slack_sandbox.errors import ApiError
from slack_sandbox.messages import BLOCK_CHARACTERS, checked_content

Json = dict[str, Any]
IMAGE: Json = {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"}


DIVIDER: Json = {"type": "divider"}
NAMED: Json = {**DIVIDER, "block_id": "named"}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def x(number: int) -> Json:
    return plain("x" * number)


def mrkdwn(number: int) -> Json:
    return {"type": "mrkdwn", "text": "x" * number}


def link(number: int) -> str:
    return "https://example.com/".ljust(number, "x")


def actions(**element: Any) -> Json:
    return {"type": "actions", "elements": [element]}


def button(**changes: Any) -> Json:
    return actions(**{"type": "button", "text": plain("Go"), **changes})


def option(**changes: Any) -> Json:
    return {"text": plain("Choice"), "value": "v", **changes}


def options(number: int) -> list[Json]:
    return [option(value=str(index)) for index in range(number)]


def select(kind: str = "static_select", **changes: Any) -> Json:
    return actions(**{"type": kind, "options": [option()], **changes})


def confirm(**changes: Any) -> Json:
    whole = {"title": plain("t"), "text": plain("t"), "confirm": plain("y"), "deny": plain("n")}
    return button(confirm={**whole, **changes})


def typed(**changes: Any) -> Json:
    element = {"type": "plain_text_input", **changes}
    return {"type": "input", "label": plain("Name"), "element": element}


def card(**changes: Any) -> Json:
    return {"type": "card", "body": plain("b"), **changes}


def groups(number: int) -> list[Json]:
    return [{"label": plain("g"), "options": options(1)} for _ in range(number)]


def table(rows: int, columns: int) -> Json:
    cell = {"type": "raw_text", "text": "x"}
    return {"type": "table", "rows": [[cell] * columns] * rows}


# A name, a function from size to value, and the largest valid size.
BLOCKS: dict[str, tuple[Callable[[int], Json], int]] = {
    "block_id": (lambda n: {"type": "divider", "block_id": "x" * n}, 255),
    "section.text": (lambda n: {"type": "section", "text": mrkdwn(n)}, 3_000),
    "section.fields": (lambda n: {"type": "section", "fields": [mrkdwn(1)] * n}, 10),
    "section.fields.text": (lambda n: {"type": "section", "fields": [mrkdwn(n)]}, 2_000),
    "header.text": (lambda n: {"type": "header", "text": x(n)}, 150),
    "context.elements": (lambda n: {"type": "context", "elements": [mrkdwn(1)] * n}, 10),
    "context.text": (lambda n: {"type": "context", "elements": [mrkdwn(n)]}, 3_000),
    "actions.elements": (
        lambda n: {
            "type": "actions",
            "elements": [
                {"type": "button", "text": plain("Go"), "action_id": str(index)}
                for index in range(n)
            ],
        },
        25,
    ),
    "image.image_url": (lambda n: {**IMAGE, "image_url": link(n)}, 3_000),
    "image.alt_text": (lambda n: {**IMAGE, "alt_text": "x" * n}, 2_000),
    "image.title": (lambda n: {**IMAGE, "title": x(n)}, 2_000),
    "context.image.alt_text": (
        lambda n: {"type": "context", "elements": [{**IMAGE, "alt_text": "x" * n}]},
        2_000,
    ),
    "context.image.image_url": (
        lambda n: {"type": "context", "elements": [{**IMAGE, "image_url": link(n)}]},
        3_000,
    ),
    "markdown.text": (lambda n: {"type": "markdown", "text": "x" * n}, 12_000),
    "table.rows": (lambda n: table(n, 1), 100),
    "table.columns": (lambda n: table(1, n), 20),
    "table.column_settings": (
        lambda n: {**table(1, 1), "column_settings": [{"align": "left"}] * n},
        20,
    ),
    "input.label": (lambda n: {**typed(), "label": x(n)}, 2_000),
    "input.hint": (lambda n: {**typed(), "hint": x(n)}, 2_000),
    "plain_text_input.placeholder": (lambda n: typed(placeholder=x(n)), 150),
    "plain_text_input.initial_value": (lambda n: typed(initial_value="x" * n), 3_000),
    "plain_text_input.min_length": (lambda n: typed(min_length=n), 3_000),
    "plain_text_input.max_length": (lambda n: typed(max_length=n), 3_000),
    "action_id": (lambda n: button(action_id="x" * n), 255),
    "button.text": (lambda n: button(text=x(n)), 75),
    "button.url": (lambda n: button(url=link(n)), 3_000),
    "button.value": (lambda n: button(value="x" * n), 2_000),
    "button.accessibility_label": (lambda n: button(accessibility_label="x" * n), 75),
    "confirm.title": (lambda n: confirm(title=x(n)), 100),
    "confirm.text": (lambda n: confirm(text=x(n)), 300),
    "confirm.confirm": (lambda n: confirm(confirm=x(n)), 30),
    "confirm.deny": (lambda n: confirm(deny=x(n)), 30),
    "option.text": (lambda n: select(options=[option(text=x(n))]), 75),
    "option.value": (lambda n: select(options=[option(value="x" * n)]), 150),
    "option.description": (lambda n: select(options=[option(description=x(n))]), 75),
    "static_select.options": (lambda n: select(options=options(n)), 100),
    "static_select.option_groups": (lambda n: select(options=None, option_groups=groups(n)), 100),
    "option_group.label": (
        lambda n: select(options=None, option_groups=[{"label": x(n), "options": options(1)}]),
        75,
    ),
    "option_group.options": (
        lambda n: select(
            options=None, option_groups=[{"label": plain("g"), "options": options(n)}]
        ),
        100,
    ),
    "multi_static_select.options": (
        lambda n: select("multi_static_select", options=options(n)),
        100,
    ),
    "overflow.options": (lambda n: select("overflow", options=options(n)), 5),
    "overflow.option.url": (lambda n: select("overflow", options=[option(url=link(n))]), 3_000),
    "checkboxes.options": (lambda n: select("checkboxes", options=options(n)), 10),
    "radio_buttons.options": (lambda n: select("radio_buttons", options=options(n)), 10),
    **{
        f"{kind}.placeholder": (
            lambda n, kind=kind: actions(type=kind, placeholder=x(n)),  # type: ignore[misc]
            150,
        )
        for kind in (
            "users_select",
            "channels_select",
            "conversations_select",
            "multi_users_select",
            "multi_channels_select",
            "multi_conversations_select",
            "datepicker",
            "timepicker",
        )
    },
    "static_select.placeholder": (lambda n: select(placeholder=x(n)), 150),
    "card.title": (lambda n: card(title=x(n)), 150),
    "card.subtitle": (lambda n: card(subtitle=x(n)), 150),
    "card.body": (lambda n: card(body=x(n)), 200),
    "card.actions": (
        lambda n: card(
            actions=[
                {"type": "button", "text": plain("Go"), "action_id": str(index)}
                for index in range(n)
            ]
        ),
        3,
    ),
    "carousel.elements": (lambda n: {"type": "carousel", "elements": [card()] * n}, 10),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_limits_of_block_fields(name: str) -> None:
    make, most = BLOCKS[name]
    assert check_blocks([make(most)]) == []
    assert len(check_blocks([make(most + 1)])) >= 1


@pytest.mark.parametrize(
    "block",
    [
        select(initial_option=option(value="other")),
        select(initial_option=option(description=plain("more"))),
        select("multi_static_select", initial_options=[option(value="other")]),
        select("checkboxes", initial_options=[option(value="other")]),
        select("radio_buttons", initial_option=option(value="other")),
        select(options=None, option_groups=groups(1), initial_option=option(value="other")),
        typed(min_length=5, max_length=4),
    ],
)
def test_an_initial_choice_must_be_an_option(block: Json) -> None:
    assert check_blocks([block])


def test_an_initial_choice_among_the_options_is_accepted() -> None:
    for kind in ("static_select", "radio_buttons"):
        assert check_blocks([select(kind, initial_option=option())]) == []
    for kind in ("multi_static_select", "checkboxes"):
        assert check_blocks([select(kind, initial_options=[option()])]) == []


@pytest.mark.parametrize(("surface", "most"), [("message", 50), ("modal", 100), ("home", 100)])
def test_limits_of_the_number_of_blocks(surface: Any, most: int) -> None:
    divider = {"type": "divider"}
    assert check_blocks([divider] * most, surface) == []
    assert check_blocks([divider] * (most + 1), surface)


def modal(**changes: Any) -> Json:
    return {"type": "modal", "title": plain("t"), "blocks": [{"type": "divider"}], **changes}


VIEWS: dict[str, tuple[Callable[[int], Json], int]] = {
    "title": (lambda n: modal(title=x(n)), 24),
    "submit": (lambda n: modal(submit=x(n)), 24),
    "close": (lambda n: modal(close=x(n)), 24),
    "private_metadata": (lambda n: modal(private_metadata="x" * n), 3_000),
    "callback_id": (lambda n: modal(callback_id="x" * n), 255),
    "external_id": (lambda n: modal(external_id="x" * n), 255),
    "blocks": (lambda n: modal(blocks=[{"type": "divider"}] * n), 100),
}


@pytest.mark.parametrize("name", VIEWS)
def test_limits_of_view_fields(name: str) -> None:
    make, most = VIEWS[name]
    assert check_view(make(most)) == []
    assert check_view(make(most + 1))


def action(**changes: Any) -> Json:
    return {"name": "a", "text": "Go", "type": "button", **changes}


ATTACHMENTS: dict[str, tuple[Callable[[int], Json], int]] = {
    "blocks": (lambda n: {"blocks": [{"type": "divider"}] * n}, 20),
    "blocks.section.text": (
        lambda n: {"blocks": [{"type": "section", "text": mrkdwn(n)}]},
        3_000,
    ),
    "actions": (lambda n: {"text": "x", "actions": [action()] * n}, 5),
    "actions.value": (lambda n: {"text": "x", "actions": [action(value="x" * n)]}, 2_000),
}


@pytest.mark.parametrize("name", ATTACHMENTS)
def test_limits_of_attachment_fields(name: str) -> None:
    make, most = ATTACHMENTS[name]
    assert check_attachment(make(most), "/attachments/0") == []
    assert check_attachment(make(most + 1), "/attachments/0")


TEXTS = [
    *("author_icon", "author_link", "author_name", "callback_id", "color", "fallback", "footer"),
    *("footer_icon", "image_url", "pretext", "text", "thumb_url", "title", "title_link"),
]
WRONG_TYPES = [
    *((name, 7) for name in TEXTS),
    ("ts", "noon"),
    ("ts", True),
    ("fields", {"title": "t"}),
    ("fields", [{"title": 7}]),
    ("fields", [{"value": 7}]),
    ("fields", [{"short": "yes"}]),
    ("fields", ["words"]),
    ("mrkdwn_in", "text"),
    ("mrkdwn_in", [7]),
    ("actions", [{"name": "no text"}]),
    ("blocks", "words"),
    ("blocks", ["words"]),
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES, ids=str)
def test_attachment_fields_have_types(name: str, value: Any) -> None:
    assert refusal(attachments=[{"fallback": "x", name: value}]) == "invalid_attachments"


@pytest.mark.parametrize("name", sorted({*TEXTS, "ts", "fields"} - {"color", "fallback"}))
def test_legacy_fields_next_to_blocks_are_rejected(name: str) -> None:
    value: Any = {"ts": 1, "fields": []}.get(name, "x")
    beside = {"blocks": [{"type": "divider"}], "color": "good", "fallback": "x"}
    assert refusal(attachments=[beside]) is None
    assert refusal(attachments=[{**beside, name: value}]) == "invalid_attachments"


def sections(characters: int) -> list[Json]:
    sizes = [3_000] * (characters // 3_000) + [characters % 3_000]
    return [{"type": "section", "text": mrkdwn(size)} for size in sizes]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"blocks": sections(BLOCK_CHARACTERS)}, None),
        ({"blocks": sections(BLOCK_CHARACTERS + 1)}, "msg_blocks_too_long"),
        ({"attachments": [{"blocks": sections(BLOCK_CHARACTERS)}]}, None),
        ({"attachments": [{"blocks": sections(BLOCK_CHARACTERS + 1)}]}, "msg_blocks_too_long"),
        ({"blocks": [NAMED], "attachments": [{"blocks": [DIVIDER]}]}, None),
        ({"blocks": [NAMED], "attachments": [{"blocks": [NAMED]}]}, "invalid_attachments"),
        ({"attachments": [{"blocks": [NAMED]}] * 2}, "invalid_attachments"),
        ({"attachments": [{"text": "x"}] * 100}, None),
        ({"attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
        ({"blocks": [{"type": "header", "text": x(151)}]}, "invalid_blocks"),
        (
            {"attachments": [{"blocks": [{"type": "header", "text": x(151)}]}]},
            "invalid_attachments",
        ),
    ],
)
def test_limits_of_whole_messages(arguments: Json, error: str | None) -> None:
    assert refusal(**arguments) == error


def refusal(**given: Any) -> str | None:
    """Return Slack's error code for a message, or None if it is accepted."""
    arguments: Json = {"text": "x", "blocks": None, "attachments": None, **given}
    try:
        checked_content(**arguments, unreachable=())
    except ApiError as error:
        return error.error
    return None
