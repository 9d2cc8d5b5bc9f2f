"""Validation, posting, update and deletion of messages."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from slack_sandbox.attachments import (
    MOST_ATTACHMENTS,
    check_attachment,
    has_content,
    normalized,
)
from slack_sandbox.blocks import check_blocks, with_ids
from slack_sandbox.core import Core
from slack_sandbox.errors import ApiError
from slack_sandbox.tokens import Installation
from slack_sandbox.world import Channel, JsonDict, Message

TEXT_KEPT = 40_000
BLOCK_CHARACTERS = 11_340
"""Limit for all texts of a message's blocks. Slack was observed to respond ``msg_blocks_too_long``
above it (https://github.com/slackapi/bolt-js/issues/2867). For few blocks the observed limit is
slightly higher; Slack documents no number.
"""
# With Markdown Slack was observed to accept 13,297 characters in one block, and 125 fewer beside
# another (https://github.com/slackapi/bolt-js/issues/2509).
MARKDOWN_CHARACTERS, BLOCK_SHARE = 13_422, 125
# Limits of a whole message (https://docs.slack.dev/reference/block-kit/blocks/markdown-block and
# https://docs.slack.dev/reference/block-kit/blocks/table-block).
MARKDOWN_LENGTH = 12_000
TABLE_LENGTH = 10_000
METADATA_BYTES = 16_000


@dataclass
class Content:
    """The validated content of a message."""

    text: str = ""
    blocks: list[JsonDict] = field(default_factory=list)
    attachments: list[JsonDict] = field(default_factory=list)
    metadata: JsonDict | None = None
    warnings: list[str] = field(default_factory=list)


def checked_content(
    text: Any,
    blocks: Any,
    attachments: Any,
    metadata: Any = None,
    *,
    unreachable: Collection[str] = (),
) -> Content:
    """Validate the content of a message as Slack does.

    Raises :class:`ApiError` with Slack's code: ``no_text``, ``invalid_blocks`` and
    ``invalid_attachments`` (with ``response_metadata.messages``), ``invalid_blocks_format``,
    ``msg_blocks_too_long``, ``too_many_attachments``, ``invalid_metadata_format`` …

    Slack cannot fetch images from the hosts in ``unreachable``.
    """
    content = Content(metadata=_checked_metadata(metadata))
    if text is not None and not isinstance(text, str):
        raise ApiError("invalid_arguments")
    content.text = text or ""
    content.blocks = _checked_blocks(blocks, unreachable)
    content.attachments = _checked_attachments(attachments, unreachable)
    _check_unique_ids(content)
    _check_totals(content)
    shown = bool(content.attachments) and any(has_content(attachment) for attachment in attachments)
    if not (content.text.strip() or content.blocks or shown):
        raise ApiError("no_text")
    if len(content.text) > TEXT_KEPT:
        content.text = content.text[:TEXT_KEPT]
        content.warnings.append("message_truncated")
    return content


def _checked_blocks(blocks: Any, unreachable: Collection[str]) -> list[JsonDict]:
    if blocks is None or blocks == "":
        return []
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ApiError("invalid_blocks_format")
    _refuse("invalid_blocks", check_blocks(blocks, unreachable=unreachable))
    _check_length(blocks)
    return with_ids(blocks)


def _refuse(error: str, errors: list[str]) -> None:
    if errors:
        messages = [f"[ERROR] {text}" for text in errors]
        raise ApiError(error, errors=errors, response_metadata={"messages": messages})


def _check_length(blocks: list[JsonDict]) -> None:
    limit = BLOCK_CHARACTERS
    if _of_type(blocks, "markdown"):
        limit = MARKDOWN_CHARACTERS - BLOCK_SHARE * len(blocks)
    if _characters(blocks) > limit:
        raise ApiError("msg_blocks_too_long")


def _of_type(blocks: list[JsonDict], kind: str) -> list[JsonDict]:
    return [block for block in blocks if block.get("type") == kind]


def _check_totals(content: Content) -> None:
    """Reject several tables, long tables and long Markdown, all counted for the whole message."""
    inside = [block for one in content.attachments for block in one.get("blocks") or []]
    code = "invalid_attachments" if inside else "invalid_blocks"
    pointer = "[json-pointer:/attachments]" if inside else "[json-pointer:/blocks]"
    tables = _of_type([*content.blocks, *inside], "table")
    if len(tables) > 1:
        _refuse(code, [f"only_one_table_allowed {pointer}"])
    if _characters(tables) > TABLE_LENGTH:
        _refuse(code, [f"table text must be less than {TABLE_LENGTH + 1} characters {pointer}"])
    if _characters(_of_type([*content.blocks, *inside], "markdown")) > MARKDOWN_LENGTH:
        text = f"markdown text must be less than {MARKDOWN_LENGTH + 1} characters {pointer}"
        _refuse(code, [text])


def _characters(value: Any) -> int:
    if isinstance(value, dict):
        return sum(
            len(item) if name == "text" and isinstance(item, str) else _characters(item)
            for name, item in value.items()
        )
    if isinstance(value, list):
        return sum(_characters(item) for item in value)
    return 0


def _checked_attachments(attachments: Any, unreachable: Collection[str]) -> list[JsonDict]:
    if attachments is None or attachments == "":
        return []
    if not isinstance(attachments, list):
        raise ApiError("invalid_attachments")
    if not all(isinstance(attachment, dict) for attachment in attachments):
        raise ApiError("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise ApiError("too_many_attachments")
    checked: list[JsonDict] = []
    for index, attachment in enumerate(attachments):
        errors = check_attachment(attachment, f"/attachments/{index}", unreachable)
        _refuse("invalid_attachments", errors)
        copy = normalized(attachment, index + 1)
        if copy.get("blocks"):
            _check_length(copy["blocks"])
            copy["blocks"] = with_ids(copy["blocks"])
        checked.append(copy)
    return checked


def _check_unique_ids(content: Content) -> None:
    """Reject a repeated ``block_id``, including one in two attachments.

    It must be unique in a message (https://docs.slack.dev/reference/block-kit/blocks). Slack
    documents no limit for the total length of blocks in attachments, so the sandbox has none.
    """
    seen = {block["block_id"] for block in content.blocks}
    for index, attachment in enumerate(content.attachments):
        for number, block in enumerate(attachment.get("blocks") or []):
            if block["block_id"] in seen:
                pointer = f"/attachments/{index}/blocks/{number}/block_id"
                text = f"block_id `{block['block_id']}` already exists [json-pointer:{pointer}]"
                _refuse("invalid_attachments", [text])
            seen.add(block["block_id"])


def _checked_metadata(metadata: Any) -> JsonDict | None:
    if metadata is None or metadata == "" or metadata == {}:
        return None
    if not isinstance(metadata, dict):
        raise ApiError("invalid_metadata_format")
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not event_type or not isinstance(payload, dict):
        raise ApiError("invalid_metadata_format")
    if len(json.dumps(metadata)) > METADATA_BYTES:
        raise ApiError("metadata_too_large")
    return {"event_type": event_type, "event_payload": payload}


def find_message(core: Core, channel_id: str, ts: str) -> Message | None:
    """The message with this ``ts`` in a channel, unless it was deleted."""
    return core.world.messages[channel_id].find(ts)


def thread_of(core: Core, channel_id: str, thread_ts: str | None) -> str | None:
    """The thread of a reply to ``thread_ts``; None if Slack posts it in the channel.

    Slack does so if the parent was deleted without replies. A deleted parent with replies stays as
    a tombstone and accepts more.
    """
    return None if thread_ts is None else core.world.messages[channel_id].thread_of(thread_ts)


def as_bot(core: Core, channel: Channel, installation: Installation, content: Content) -> Message:
    """A message by the app's bot, not posted yet."""
    return Message(
        channel.id,
        core.world.next_ts(core.clock()),
        channel.team_id,
        text=content.text,
        user_id=installation.bot_user_id,
        bot_id=installation.bot_id,
        app_id=core.config.app_id,
        blocks=content.blocks,
        attachments=content.attachments,
        metadata=content.metadata,
        bot_profile=bot_profile(core, installation, channel.team_id),
    )


def bot_profile(core: Core, installation: Installation, team_id: str) -> JsonDict:
    """The ``bot_profile`` of the app's messages."""
    return {
        "id": installation.bot_id,
        "app_id": core.config.app_id,
        "user_id": installation.bot_user_id,
        "name": core.config.name,
        "icons": _icons(core.base_url, core.config.app_id),
        "deleted": False,
        "updated": int(core.clock()),
        "team_id": team_id,
    }


@cache
def _icons(base_url: str, app_id: str) -> JsonDict:
    stem = f"{base_url}/avatars/{app_id}"
    return {f"image_{size}": f"{stem}/{size}.svg" for size in (36, 48, 72)}


def add_message(core: Core, message: Message) -> None:
    """Post a message and publish its events."""
    with core.edit():
        core.world.messages[message.channel_id].add(message)
        if message.thread_ts is not None:
            _mark_parent(core, message)
        _publish_message(core, message)


def _mark_parent(core: Core, message: Message) -> None:
    parent = find_message(core, message.channel_id, message.thread_ts or "")
    if parent is not None and parent.thread_ts is None:
        parent.thread_ts = parent.ts


def add_ephemeral(core: Core, message: Message) -> None:
    """Show a message to its recipient."""
    with core.edit():
        core.world.ephemerals.append(message)


def change(core: Core, message: Message, content: Content, by: str | None) -> None:
    """Replace the content of a message. A message updated with blocks is not marked as edited."""
    with core.edit():
        message.text = content.text
        message.blocks = content.blocks
        message.attachments = content.attachments
        message.metadata = content.metadata
        if not content.blocks:
            message.edited_by = by
            message.edited_ts = core.world.next_ts(core.clock())


def remove(core: Core, message: Message) -> None:
    """Delete a message."""
    with core.edit():
        message.deleted = True


def visible_messages(core: Core, channel_id: str) -> list[Message]:
    """The messages everyone in a channel sees, oldest first."""
    return [message for message in core.world.messages[channel_id] if not message.deleted]


def _publish_message(core: Core, message: Message) -> None:
    channel = core.world.channels.get(message.channel_id)
    installation = core.installation_for(message.team_id)
    if channel is None or installation is None or installation.bot_user_id is None:
        return
    if installation.bot_user_id not in channel.members:
        return
    kind = "im" if channel.is_im else "group" if channel.is_private else "channel"
    subscription = {"im": "message.im", "group": "message.groups"}.get(kind, "message.channels")
    event = {
        **message.as_slack(with_metadata=True),
        "channel": channel.id,
        "channel_type": kind,
        "event_ts": message.ts,
    }
    core.publish(message.team_id, event, subscription)
    if message.user_id and f"<@{installation.bot_user_id}>" in message.text:
        mention = {"type": "app_mention", "channel": channel.id, "event_ts": message.ts}
        core.publish(message.team_id, {**message.as_slack(), **mention})
