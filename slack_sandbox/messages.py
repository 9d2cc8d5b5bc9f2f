"""Messages: checking what an app wants to post, posting it, changing it, taking it away."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from slack_sandbox.attachments import (
    MOST_ATTACHMENTS,
    as_shown,
    check_attachment,
    says_something,
)
from slack_sandbox.blocks import check_blocks, with_ids
from slack_sandbox.core import Core
from slack_sandbox.errors import ApiError
from slack_sandbox.tokens import Installation
from slack_sandbox.world import Channel, JsonDict, Message

TEXT_KEPT = 40_000
BLOCK_CHARACTERS = 11_340
"""All texts of blocks together; with one more, Slack was seen to say ``msg_blocks_too_long``
(https://github.com/slackapi/bolt-js/issues/2867). Of few blocks it takes some more; its pages
name no figure."""
METADATA_BYTES = 16_000


@dataclass
class Content:
    """What a message says, already checked."""

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
    """Check the parts of a message the way Slack does.

    Raises :class:`ApiError` with Slack's code: ``no_text``, ``invalid_blocks`` (and its
    ``response_metadata.messages``), ``invalid_attachments`` likewise, ``invalid_blocks_format``,
    ``msg_blocks_too_long``, ``too_many_attachments``, ``invalid_metadata_format`` …

    From hosts in ``unreachable`` Slack cannot fetch images.
    """
    content = Content(metadata=_checked_metadata(metadata))
    if text is not None and not isinstance(text, str):
        raise ApiError("invalid_arguments")
    content.text = text or ""
    content.blocks = _checked_blocks(blocks, unreachable)
    content.attachments = _checked_attachments(attachments, unreachable)
    _check_unique_ids(content)
    shown = bool(content.attachments) and any(says_something(one) for one in attachments)
    if not (content.text.strip() or content.blocks or shown):
        raise ApiError("no_text")
    if len(content.text) > TEXT_KEPT:
        content.text = content.text[:TEXT_KEPT]
        content.warnings.append("message_truncated")
    return content


def _checked_blocks(blocks: Any, unreachable: Collection[str]) -> list[JsonDict]:
    if blocks is None or blocks == "":
        return []
    if not isinstance(blocks, list) or not all(isinstance(one, dict) for one in blocks):
        raise ApiError("invalid_blocks_format")
    _refuse("invalid_blocks", check_blocks(blocks, unreachable=unreachable))
    _check_length(blocks)
    return with_ids(blocks)


def _refuse(error: str, complaints: list[str]) -> None:
    if complaints:
        messages = [f"[ERROR] {one}" for one in complaints]
        raise ApiError(error, errors=complaints, response_metadata={"messages": messages})


def _check_length(blocks: list[JsonDict]) -> None:
    if _characters(blocks) > BLOCK_CHARACTERS:
        raise ApiError("msg_blocks_too_long")


def _characters(value: Any) -> int:
    if isinstance(value, dict):
        return sum(
            len(one) if name == "text" and isinstance(one, str) else _characters(one)
            for name, one in value.items()
        )
    if isinstance(value, list):
        return sum(_characters(one) for one in value)
    return 0


def _checked_attachments(attachments: Any, unreachable: Collection[str]) -> list[JsonDict]:
    if attachments is None or attachments == "":
        return []
    if not isinstance(attachments, list):
        raise ApiError("invalid_attachments")
    if not all(isinstance(one, dict) for one in attachments):
        raise ApiError("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise ApiError("too_many_attachments")
    checked: list[JsonDict] = []
    for place, attachment in enumerate(attachments):
        complaints = check_attachment(attachment, f"/attachments/{place}", unreachable)
        _refuse("invalid_attachments", complaints)
        copy = as_shown(attachment, place + 1)
        if copy.get("blocks"):
            _check_length(copy["blocks"])
            copy["blocks"] = with_ids(copy["blocks"])
        checked.append(copy)
    return checked


def _check_unique_ids(content: Content) -> None:
    """Refuse a ``block_id`` that a message has twice, also in two attachments.

    It must be unique in a message (https://docs.slack.dev/reference/block-kit/blocks). For the
    length of all attachments' blocks together Slack's pages name no limit, and none is kept here.
    """
    seen = {block["block_id"] for block in content.blocks}
    for place, attachment in enumerate(content.attachments):
        for number, block in enumerate(attachment.get("blocks") or []):
            if block["block_id"] in seen:
                pointer = f"/attachments/{place}/blocks/{number}/block_id"
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
    """The message of that time in a channel, unless it was deleted."""
    return core.world.messages[channel_id].find(ts)


def thread_of(core: Core, channel_id: str, thread_ts: str | None) -> str | None:
    """The thread that a reply to ``thread_ts`` goes into; None where Slack posts it in the channel.

    So it does where the first message is gone. One that was deleted and has replies stays as a
    tombstone, and takes more.
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
    """The ``bot_profile`` of a message the app posts."""
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
    """Put a message into its channel, and tell the app where it listens."""
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
    """Show a message to the one person it is for."""
    with core.edit():
        core.world.ephemerals.append(message)


def change(core: Core, message: Message, content: Content, by: str | None) -> None:
    """Replace what a message says. One that is given blocks is not marked as edited."""
    with core.edit():
        message.text = content.text
        message.blocks = content.blocks
        message.attachments = content.attachments
        message.metadata = content.metadata
        if not content.blocks:
            message.edited_by = by
            message.edited_ts = core.world.next_ts(core.clock())


def remove(core: Core, message: Message) -> None:
    """Take a message away."""
    with core.edit():
        message.deleted = True


def visible_messages(core: Core, channel_id: str) -> list[Message]:
    """What everyone in a channel sees, oldest first."""
    return [one for one in core.world.messages[channel_id] if not one.deleted]


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
