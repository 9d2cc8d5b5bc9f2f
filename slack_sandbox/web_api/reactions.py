"""``reactions.*``: emoji under messages."""

from __future__ import annotations

import re

from slack_sandbox.errors import ApiError, InvalidArgumentsError
from slack_sandbox.limits import Tier
from slack_sandbox.messages import find_message
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict

MOST_EMOJI = 50
"""Limit for the different emoji under a message (``too_many_emoji``)."""
_NAME = re.compile(r"[a-z0-9_'+-]{1,100}(::skin-tone-[2-6])?")


@method("reactions.add", Tier.THREE, scopes=("reactions:write",), takes_json=True)
def add(call: Call) -> JsonDict:
    """Add an emoji to a message (https://docs.slack.dev/reference/methods/reactions.add)."""
    channel = call.find_channel(call.need_text("channel"))
    name, ts = call.need_text("name"), call.text("timestamp")
    if not ts:
        raise ApiError("no_item_specified")
    if not ts.replace(".", "").isdigit():
        raise InvalidArgumentsError("must be a message timestamp [json-pointer:/timestamp]")
    if not _NAME.fullmatch(name):
        raise ApiError("invalid_name")
    message = find_message(call.core, channel.id, ts)
    if message is None:
        raise ApiError("message_not_found")
    if channel.is_archived:
        raise ApiError("is_archived")
    people = message.reactions.get(name, [])
    if call.viewer.id in people:
        raise ApiError("already_reacted")
    if not people and len(message.reactions) >= MOST_EMOJI:
        raise ApiError("too_many_emoji")
    with call.core.edit():
        message.reactions[name] = [*people, call.viewer.id]
    return {"ok": True}
