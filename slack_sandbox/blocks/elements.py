"""Validation of block elements and composition objects.

The limits are those of https://docs.slack.dev/reference/block-kit/block-elements and
https://docs.slack.dev/reference/block-kit/composition-objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slack_sandbox.blocks.rules import (
    Field,
    Rule,
    add_error,
    anything,
    array,
    boolean,
    either,
    integer,
    one_of,
    record,
    required,
    string,
    typed,
    url,
)


def text_kinds(maximum: int, *, minimum: int = 1, plain: bool = False) -> dict[str, Rule]:
    """The types of text object; only ``plain_text`` if ``plain``."""
    shared = {"type": Field(anything), "text": required(string(maximum, minimum))}
    kinds = {"plain_text": record({**shared, "emoji": Field(boolean)})}
    if not plain:
        kinds["mrkdwn"] = record({**shared, "verbatim": Field(boolean)})
    return kinds


def text(maximum: int, *, minimum: int = 1, plain: bool = False) -> Rule:
    """A text object with a maximum length."""
    return typed(text_kinds(maximum, minimum=minimum, plain=plain))


def _pattern(expression: str, message: str) -> Rule:
    compiled = re.compile(expression)

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            add_error(errors, message, pointer)

    return check


DATE = _pattern(r"\d{4}-\d{2}-\d{2}", "must be a date in the format YYYY-MM-DD")
TIME = _pattern(r"([01]\d|2[0-3]):[0-5]\d", "must be a time in the format HH:mm")
PLACEHOLDER = Field(text(150, plain=True))

CONFIRM = record(
    {
        "title": required(text(100, plain=True)),
        "text": required(text(300)),
        "confirm": required(text(30, plain=True)),
        "deny": required(text(30, plain=True)),
        "style": Field(one_of("primary", "danger")),
    }
)
SLACK_FILE = record({"id": Field(string()), "url": Field(string())}, either("id", "url"))
IMAGE = record(
    {
        "type": Field(anything),
        "image_url": Field(url()),
        "slack_file": Field(SLACK_FILE),
        "alt_text": required(string(2000)),
    },
    either("image_url", "slack_file"),
)


def _option(*, plain: bool, links: bool = False) -> Rule:
    fields: dict[str, Field] = {
        "text": required(text(75, plain=plain)),
        "value": required(string(150, 1)),
        "description": Field(text(75, plain=plain)),
    }
    if links:
        fields["url"] = Field(url())
    return record(fields)


def _options(maximum: int, *, plain: bool, minimum: int = 1, links: bool = False) -> Rule:
    return array(_option(plain=plain, links=links), maximum, minimum)


_GROUPS = array(
    record(
        {
            "label": required(text(75, plain=True)),
            "options": required(_options(100, plain=True)),
        }
    ),
    100,
    1,
)
_DISPATCH = record(
    {"trigger_actions_on": Field(array(one_of("on_enter_pressed", "on_character_entered"), 2, 1))}
)
_FILTER = record(
    {
        "include": Field(array(one_of("im", "mpim", "private", "public"), 4, 1)),
        "exclude_external_shared_channels": Field(boolean),
        "exclude_bot_users": Field(boolean),
    }
)


def _initial_is_offered(value: Any, pointer: str, errors: list[str]) -> None:
    """An initial choice must equal one of the options in every field."""
    groups = value.get("option_groups") or []
    offered = [
        *(value.get("options") or []),
        *(option for each in groups for option in each["options"]),
    ]
    initial = {"initial_option": [value.get("initial_option")]}
    initial["initial_options"] = value.get("initial_options") or []
    for name, chosen in initial.items():
        if any(choice is not None and choice not in offered for choice in chosen):
            add_error(errors, f"{name} must match one of the options", f"{pointer}/{name}")


def _lengths_fit(value: Any, pointer: str, errors: list[str]) -> None:
    if (value.get("min_length") or 0) > (value.get("max_length") or 3000):
        add_error(errors, "min_length must not be more than max_length", pointer)


def _if_good(rule: Rule) -> Rule:
    """Apply a rule only if the fields it uses are valid."""

    def check(value: Any, pointer: str, errors: list[str]) -> None:
        if not errors:
            rule(value, pointer, errors)

    return check


_INITIAL = _if_good(_initial_is_offered)


def _element(fields: Mapping[str, Field], *also: Rule) -> Rule:
    return record({"type": Field(anything), "action_id": Field(string(255, 1)), **fields}, *also)


_CONFIRMED = {"confirm": Field(CONFIRM)}
_FOCUS = {"focus_on_load": Field(boolean)}
_MENU = {**_CONFIRMED, **_FOCUS, "placeholder": PLACEHOLDER}
_MULTI = {**_MENU, "max_selected_items": Field(integer(1, 10_000))}
_TYPED = {**_FOCUS, "placeholder": PLACEHOLDER, "dispatch_action_config": Field(_DISPATCH)}
_IDS = array(string(255, 1))

ELEMENTS: dict[str, Rule] = {
    "image": IMAGE,
    "button": _element(
        {
            **_CONFIRMED,
            "text": required(text(75, plain=True)),
            "url": Field(url()),
            "value": Field(string(2000)),
            "style": Field(one_of("primary", "danger")),
            "accessibility_label": Field(string(75)),
        }
    ),
    "static_select": _element(
        {
            **_MENU,
            "options": Field(_options(100, plain=True)),
            "option_groups": Field(_GROUPS),
            "initial_option": Field(_option(plain=True)),
        },
        either("options", "option_groups"),
        _INITIAL,
    ),
    "multi_static_select": _element(
        {
            **_MULTI,
            "options": Field(_options(100, plain=True)),
            "option_groups": Field(_GROUPS),
            "initial_options": Field(_options(100, plain=True)),
        },
        either("options", "option_groups"),
        _INITIAL,
    ),
    "users_select": _element({**_MENU, "initial_user": Field(string(255, 1))}),
    "multi_users_select": _element({**_MULTI, "initial_users": Field(_IDS)}),
    "channels_select": _element(
        {
            **_MENU,
            "initial_channel": Field(string(255, 1)),
            "response_url_enabled": Field(boolean),
        }
    ),
    "multi_channels_select": _element({**_MULTI, "initial_channels": Field(_IDS)}),
    "conversations_select": _element(
        {
            **_MENU,
            "initial_conversation": Field(string(255, 1)),
            "default_to_current_conversation": Field(boolean),
            "response_url_enabled": Field(boolean),
            "filter": Field(_FILTER),
        }
    ),
    "multi_conversations_select": _element(
        {
            **_MULTI,
            "initial_conversations": Field(_IDS),
            "default_to_current_conversation": Field(boolean),
            "filter": Field(_FILTER),
        }
    ),
    "overflow": _element({**_CONFIRMED, "options": required(_options(5, plain=True, links=True))}),
    "datepicker": _element({**_MENU, "initial_date": Field(DATE)}),
    "timepicker": _element(
        {**_MENU, "initial_time": Field(TIME), "timezone": Field(string(255, 1))}
    ),
    "datetimepicker": _element(
        {**_CONFIRMED, **_FOCUS, "initial_date_time": Field(integer(10**9, 10**10 - 1))}
    ),
    "checkboxes": _element(
        {
            **_CONFIRMED,
            **_FOCUS,
            "options": required(_options(10, plain=False)),
            "initial_options": Field(_options(10, plain=False)),
        },
        _INITIAL,
    ),
    "radio_buttons": _element(
        {
            **_CONFIRMED,
            **_FOCUS,
            "options": required(_options(10, plain=False)),
            "initial_option": Field(_option(plain=False)),
        },
        _INITIAL,
    ),
    "plain_text_input": _element(
        {
            **_TYPED,
            "initial_value": Field(string(3000)),
            "multiline": Field(boolean),
            "min_length": Field(integer(0, 3000)),
            "max_length": Field(integer(1, 3000)),
        },
        _if_good(_lengths_fit),
    ),
    "email_text_input": _element({**_TYPED, "initial_value": Field(string())}),
    "url_text_input": _element({**_TYPED, "initial_value": Field(string())}),
    "number_input": _element(
        {
            **_TYPED,
            "is_decimal_allowed": required(boolean),
            "initial_value": Field(string()),
            "min_value": Field(string()),
            "max_value": Field(string()),
        }
    ),
}
"""All supported elements. ``external_select`` and file inputs are not supported and rejected as
unsupported types, which is stricter than Slack.
"""

ACTION_ELEMENTS = frozenset(
    {
        "button",
        "checkboxes",
        "datepicker",
        "datetimepicker",
        "multi_channels_select",
        "multi_conversations_select",
        "multi_static_select",
        "multi_users_select",
        "overflow",
        "radio_buttons",
        "static_select",
        "users_select",
        "channels_select",
        "conversations_select",
        "timepicker",
    }
)
SECTION_ELEMENTS = ACTION_ELEMENTS | {"image"}
INPUT_ELEMENTS = ACTION_ELEMENTS - {"button", "overflow"} | {
    "plain_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
}
