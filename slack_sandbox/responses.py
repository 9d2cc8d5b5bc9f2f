"""Messages in response to commands and interactions, immediate or through a ``response_url``.

See https://docs.slack.dev/interactivity/handling-user-interaction#message_responses.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from slack_sandbox.core import RESPONSE_URL_USES, Core, ResponseUrl
from slack_sandbox.errors import ApiError, NotFoundError
from slack_sandbox.messages import (
    Content,
    add_ephemeral,
    add_message,
    as_bot,
    change,
    checked_content,
    remove,
    thread_of,
)
from slack_sandbox.tokens import Installation
from slack_sandbox.world import Channel, JsonDict, Message


def use_response_url(core: Core, path: str, body: Any) -> Message | None:
    """Execute a POST to a ``response_url``. Returns the new or changed message.

    Raises :class:`NotFoundError` for an unknown address, and :class:`ApiError`: ``used_url`` after
    five uses, ``expired_url`` after thirty minutes, ``invalid_payload``, or an error of the
    message.
    """
    with core.lock:
        target = core.response_urls.get(path)
        if target is None:
            raise NotFoundError("no such response_url")
        if core.clock() >= target.expires_at:
            raise ApiError("expired_url")
        if target.uses >= RESPONSE_URL_USES:
            raise ApiError("used_url")
        if not isinstance(body, dict):
            raise ApiError("invalid_payload")
        message = _apply(core, target, body)
        target.uses += 1
        return message


def _apply(core: Core, target: ResponseUrl, body: JsonDict) -> Message | None:
    original = target.original
    if body.get("delete_original"):
        if original is None or original.deleted:
            raise ApiError("message_not_found")
        remove(core, original)
        return None
    channel = core.get_channel(target.channel_id)
    content = _content_of(core, body)
    if body.get("replace_original") and original is not None:
        if original.deleted:
            raise ApiError("message_not_found")
        content.metadata = content.metadata or original.metadata
        change(core, original, content, original.user_id)
        return original
    installation = core.installation_for(target.team_id)
    if installation is None:
        raise ApiError("no_service")
    return post_response(core, installation, channel, target.user_id, body, content)


def post_response(
    core: Core,
    installation: Installation,
    channel: Channel,
    user_id: str,
    body: JsonDict,
    content: Content | None = None,
) -> Message:
    """Post a response: ephemeral, or in the channel with ``in_channel``."""
    response_type = body.get("response_type", "ephemeral")
    if response_type not in ("ephemeral", "in_channel"):
        raise ApiError("invalid_response_type")
    message = as_bot(core, channel, installation, content or _content_of(core, body))
    thread_ts = body.get("thread_ts")
    thread = thread_ts if isinstance(thread_ts, str) else None
    message.thread_ts = thread_of(core, channel.id, thread)
    if response_type == "in_channel":
        add_message(core, message)
    else:
        message.ephemeral_to = user_id
        add_ephemeral(core, message)
    return message


def _content_of(core: Core, body: JsonDict) -> Content:
    return checked_content(
        body.get("text"),
        body.get("blocks"),
        body.get("attachments"),
        body.get("metadata"),
        unreachable=core.unreachable_hosts,
    )


def parsed_body(raw: bytes, content_type: str) -> Any:
    """The JSON body of a request to a ``response_url``. Raises ``invalid_payload``."""
    try:
        if content_type.split(";")[0].strip() == "application/x-www-form-urlencoded":
            return json.loads(parse_qs(raw.decode())["payload"][0])
        return json.loads(raw)
    except (ValueError, KeyError, IndexError):
        raise ApiError("invalid_payload") from None
