"""``chat.*``: posting, updating and deleting messages."""

from __future__ import annotations

from slack_sandbox.errors import ApiError, InvalidArgumentsError
from slack_sandbox.limits import Tier
from slack_sandbox.message_log import micros
from slack_sandbox.messages import (
    Content,
    add_ephemeral,
    add_message,
    bot_profile,
    change,
    checked_content,
    find_message,
    remove,
    thread_of,
)
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.conversations import direct_message
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import Channel, JsonDict, Message

MARKDOWN_LENGTH = 12_000
UPDATE_LENGTH = 4_000
_WRITE = ("chat:write",)


@method("chat.postMessage", Tier.POSTING, scopes=_WRITE, takes_json=True)
def post_message(call: Call) -> JsonDict:
    """Post a message (https://docs.slack.dev/reference/methods/chat.postMessage)."""
    name = call.need_text("channel")
    content = _content(call)
    channel = _channel_argument(call, name)
    call.core.limits.spend_post(channel.team_id, channel.id)
    message = _message(call, channel, content)
    message.thread_ts = _thread(call, channel)
    message.reply_broadcast = call.flag("reply_broadcast") and message.thread_ts is not None
    add_message(call.core, message)
    return {
        "ok": True,
        "channel": channel.id,
        "ts": message.ts,
        "message": message.as_slack(with_metadata=True),
    }


@method("chat.postEphemeral", Tier.FOUR, scopes=_WRITE, takes_json=True)
def post_ephemeral(call: Call) -> JsonDict:
    """Show a message to one person in a channel
    (https://docs.slack.dev/reference/methods/chat.postEphemeral).
    """
    name, user_id = call.need_text("channel"), call.need_text("user")
    content = _content(call)
    channel = call.find_channel(name)
    _check_open(call, channel)
    if user_id not in channel.members:
        raise ApiError("user_not_in_channel")
    message = _message(call, channel, content)
    message.thread_ts = _thread(call, channel)
    message.ephemeral_to = user_id
    add_ephemeral(call.core, message)
    return {"ok": True, "message_ts": message.ts}


@method("chat.update", Tier.THREE, scopes=_WRITE, takes_json=True)
def update(call: Call) -> JsonDict:
    """Update the caller's own message (https://docs.slack.dev/reference/methods/chat.update).

    Omitted attachments and metadata are kept, and so are blocks if text is omitted as well; empty
    values remove them.
    """
    channel = call.find_channel(call.need_text("channel"))
    if channel.is_archived:
        raise ApiError("is_inactive")
    message = _own_message(call, channel, call.need_text("ts"), "cant_update_message")
    content = _content(call)
    # Observed: this limit counts bytes.
    if len(content.text.encode()) > UPDATE_LENGTH:
        raise ApiError("msg_too_long")
    named = {name for name, value in call.arguments.items() if value is not None}
    if not named & {"blocks", "text", "markdown_text"}:
        content.blocks = message.blocks
    if not named & {"text", "markdown_text"}:
        content.text = message.text
    if "attachments" not in named:
        content.attachments = message.attachments
    if "metadata" not in named:
        content.metadata = message.metadata
    change(call.core, message, content, call.viewer.id)
    return {
        "ok": True,
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": message.as_slack(with_metadata=True),
    }


@method("chat.delete", Tier.THREE, scopes=_WRITE, takes_json=True)
def delete(call: Call) -> JsonDict:
    """Delete the caller's own message (https://docs.slack.dev/reference/methods/chat.delete)."""
    channel = call.find_channel(call.need_text("channel"))
    message = _own_message(call, channel, call.need_text("ts"), "cant_delete_message")
    remove(call.core, message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


@method("chat.getPermalink", Tier.SPECIAL)
def get_permalink(call: Call) -> JsonDict:
    """Return the address of a message in the sandbox's client.

    See https://docs.slack.dev/reference/methods/chat.getPermalink.
    """
    channel = call.find_channel(call.need_text("channel"))
    message = find_message(call.core, channel.id, call.need_text("message_ts"))
    if message is None:
        raise ApiError("message_not_found")
    path = f"archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {
        "ok": True,
        "channel": channel.id,
        "permalink": f"{call.core.base_url}/{path}",
    }


def _content(call: Call) -> Content:
    markdown = call.text("markdown_text")
    if markdown:
        return _markdown(call, markdown)
    content = checked_content(
        call.arguments.get("text"),
        call.structure("blocks", "invalid_blocks_format"),
        call.structure("attachments", "invalid_attachments"),
        call.structure("metadata", "invalid_metadata_format"),
        unreachable=call.core.unreachable_hosts,
    )
    call.warnings += content.warnings
    return content


def _markdown(call: Call, markdown: str) -> Content:
    if call.text("text") or call.arguments.get("blocks"):
        raise ApiError("markdown_text_conflict")
    if len(markdown) > MARKDOWN_LENGTH:
        raise ApiError("msg_too_long")
    metadata = call.structure("metadata", "invalid_metadata_format")
    blocks = [{"type": "markdown", "text": markdown}]
    return checked_content(markdown, blocks, None, metadata, unreachable=())


def _channel_argument(call: Call, name: str) -> Channel:
    """The conversation to post to: a channel id, a user id, or a public channel's ``#name``."""
    if name[:1] in ("U", "W") and name in call.core.world.users:
        try:
            channel = direct_message(call, name)
        except ApiError as error:
            # conversations.open reports the user; posting reports only channel_not_found.
            missing = error.error == "user_not_found"
            raise (ApiError("channel_not_found") if missing else error) from None
    else:
        channel = _channel_by_name(call, name)
    _check_open(call, channel)
    return channel


def _channel_by_name(call: Call, name: str) -> Channel:
    if name in call.core.world.channels:
        return call.find_channel(name)
    found = [
        channel
        for channel in call.channels()
        if channel.name == name.removeprefix("#") and not channel.is_im and not channel.is_private
    ]
    if len(found) != 1 or not call.sees(found[0]):
        raise ApiError("channel_not_found")
    return found[0]


def _check_open(call: Call, channel: Channel) -> None:
    if channel.is_archived:
        raise ApiError("is_archived")
    if channel.is_im and call.token.kind == "bot" and not call.core.config.messages_tab:
        raise ApiError("messages_tab_disabled")
    if call.viewer.id not in channel.members and not call.has("chat:write.public"):
        raise ApiError("not_in_channel")


def _message(call: Call, channel: Channel, content: Content) -> Message:
    core, viewer = call.core, call.viewer
    message = Message(
        channel.id,
        core.world.next_ts(core.clock()),
        channel.team_id,
        text=content.text,
        user_id=viewer.id,
        app_id=core.config.app_id,
        blocks=content.blocks,
        attachments=content.attachments,
        metadata=content.metadata,
    )
    if call.token.kind == "bot":
        message.bot_id = viewer.bot_id
        message.bot_profile = bot_profile(core, call.installation, channel.team_id)
    _customize(call, message)
    return message


def _customize(call: Call, message: Message) -> None:
    username, emoji, url = (call.text(name) for name in ("username", "icon_emoji", "icon_url"))
    if not (username or emoji or url):
        return
    call.need("chat:write.customize")
    message.username = username or None
    message.subtype = "bot_message"
    if emoji:
        message.icons = {"emoji": emoji}
    elif url:
        message.icons = {f"image_{size}": url for size in (36, 48, 72)}


def _thread(call: Call, channel: Channel) -> str | None:
    thread_ts = call.text("thread_ts")
    if not thread_ts:
        return None
    try:
        micros(thread_ts)
    except ValueError:
        raise ApiError("invalid_thread_ts") from None
    return thread_of(call.core, channel.id, thread_ts)


def _own_message(call: Call, channel: Channel, ts: str, error: str) -> Message:
    if not ts.replace(".", "").isdigit():
        raise InvalidArgumentsError("must be a message timestamp [json-pointer:/ts]")
    message = find_message(call.core, channel.id, ts)
    if message is None:
        raise ApiError("message_not_found")
    if message.user_id != call.viewer.id:
        raise ApiError(error)
    return message
