"""Validation of legacy attachments.

See https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments.
Undocumented limits follow observations: text is truncated at 8,000 bytes
(https://github.com/StackStorm/hubot-stackstorm/issues/108), legacy fields next to blocks are
``invalid_attachments`` (https://github.com/slackapi/java-slack-sdk/issues/184), and so are more
than 20 blocks (https://github.com/slackapi/bolt-python/issues/914).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from slack_sandbox.blocks import check_blocks
from slack_sandbox.blocks.rules import (
    Field,
    Rule,
    add_error,
    anything,
    array,
    boolean,
    one_of,
    record,
    required,
    string,
)
from slack_sandbox.world import JsonDict

MOST_ATTACHMENTS = 100
MOST_BLOCKS = 20
TEXT_BYTES = 8_000
FOOTER_LENGTH = 300
MOST_ACTIONS = 5


def _number(value: Any, pointer: str, errors: list[str]) -> None:
    """A time in Unix seconds, also as a string."""
    try:
        if isinstance(value, bool):
            raise TypeError
        float(value)
    except (TypeError, ValueError):
        add_error(errors, "must provide a number", pointer)


_FIELD = record({"title": Field(string()), "value": Field(string()), "short": Field(boolean)})
_ACTION = record(
    {
        "name": Field(string()),
        "text": required(string()),
        "type": required(one_of("button", "select")),
        "value": Field(string(2000)),
        "style": Field(one_of("default", "primary", "danger")),
        "url": Field(string(3000)),
        "confirm": Field(anything),
        "options": Field(array(anything, 100)),
        "option_groups": Field(array(anything, 100)),
        "data_source": Field(string()),
        "selected_options": Field(array(anything, 1)),
        "min_query_length": Field(anything),
        "id": Field(anything),
    }
)
_LEGACY: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "author_icon",
            "author_link",
            "author_name",
            "callback_id",
            "color",
            "fallback",
            "footer",
            "footer_icon",
            "image_url",
            "pretext",
            "text",
            "thumb_url",
            "title",
            "title_link",
        ),
        string(),
    ),
    "ts": _number,
    "fields": array(_FIELD),
    "mrkdwn_in": array(string()),  # Slack accepts `fallback`, which Alertmanager sends
    "actions": array(_ACTION, MOST_ACTIONS),
}
_BESIDE_BLOCKS = frozenset({"blocks", "color", "fallback", "id"})
# Any of these makes an attachment visible.
_SHOWN = frozenset(_LEGACY) - {"callback_id", "color", "mrkdwn_in", "ts"} | {"blocks"}


def check_attachment(
    attachment: JsonDict, pointer: str, unreachable: Collection[str] = ()
) -> list[str]:
    """Slack's errors for an attachment; empty if it is valid."""
    errors: list[str] = []
    if attachment.get("blocks"):
        for name in sorted(set(attachment) - _BESIDE_BLOCKS):
            add_error(errors, f"invalid additional property: {name}", pointer)
        blocks = f"{pointer}/blocks"
        array(anything, MOST_BLOCKS)(attachment["blocks"], blocks, errors)
        if not errors:
            errors += check_blocks(attachment["blocks"], pointer=blocks, unreachable=unreachable)
    for name, value in attachment.items():
        # Slack ignores unknown names.
        if name in _LEGACY and value is not None:
            _LEGACY[name](value, f"{pointer}/{name}", errors)
    return errors


def normalized(attachment: JsonDict, number: int) -> JsonDict:
    """A valid attachment as Slack stores it: numbered and truncated."""
    copy = {"id": number, **attachment}
    if isinstance(copy.get("text"), str):
        copy["text"] = copy["text"].encode()[:TEXT_BYTES].decode(errors="ignore")
    if isinstance(copy.get("footer"), str):
        copy["footer"] = copy["footer"][:FOOTER_LENGTH]
    copy.setdefault("fallback", copy.get("text") or "[no preview available]")
    return copy


def has_content(attachment: JsonDict) -> bool:
    """Whether an attachment has any visible content."""
    return any(attachment.get(name) for name in _SHOWN)
