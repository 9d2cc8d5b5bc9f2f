"""Legacy attachments, read as strictly as Slack does.

See https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments. What that
page leaves open is as it was met: text is cut at 8,000 bytes
(https://github.com/StackStorm/hubot-stackstorm/issues/108), legacy fields beside blocks are
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
    anything,
    array,
    boolean,
    complain,
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


def _number(value: Any, pointer: str, complaints: list[str]) -> None:
    """A time in Unix seconds, also as text."""
    try:
        if isinstance(value, bool):
            raise TypeError
        float(value)
    except (TypeError, ValueError):
        complain(complaints, "must provide a number", pointer)


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
    "mrkdwn_in": array(string()),  # Alertmanager names `fallback` too, and Slack takes it
    "actions": array(_ACTION, MOST_ACTIONS),
}
_BESIDE_BLOCKS = frozenset({"blocks", "color", "fallback", "id"})
# Either of these makes something to see of an attachment.
_SHOWN = frozenset(_LEGACY) - {"callback_id", "color", "mrkdwn_in", "ts"} | {"blocks"}


def check_attachment(
    attachment: JsonDict, pointer: str, unreachable: Collection[str] = ()
) -> list[str]:
    """Slack's errors about an attachment, in its words; none where it is valid."""
    complaints: list[str] = []
    if attachment.get("blocks"):
        for name in sorted(set(attachment) - _BESIDE_BLOCKS):
            complain(complaints, f"invalid additional property: {name}", pointer)
        blocks = f"{pointer}/blocks"
        array(anything, MOST_BLOCKS)(attachment["blocks"], blocks, complaints)
        if not complaints:
            complaints += check_blocks(
                attachment["blocks"], pointer=blocks, unreachable=unreachable
            )
    for name, value in attachment.items():
        # Names that Slack does not know are left alone.
        if name in _LEGACY and value is not None:
            _LEGACY[name](value, f"{pointer}/{name}", complaints)
    return complaints


def as_shown(attachment: JsonDict, number: int) -> JsonDict:
    """A good attachment as Slack keeps it: with a number, and without what is too long."""
    copy = {"id": number, **attachment}
    if isinstance(copy.get("text"), str):
        copy["text"] = copy["text"].encode()[:TEXT_BYTES].decode(errors="ignore")
    if isinstance(copy.get("footer"), str):
        copy["footer"] = copy["footer"][:FOOTER_LENGTH]
    copy.setdefault("fallback", copy.get("text") or "[no preview available]")
    return copy


def says_something(attachment: JsonDict) -> bool:
    """Whether there is anything to see of an attachment."""
    return any(attachment.get(name) for name in _SHOWN)
