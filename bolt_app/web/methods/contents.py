"""Contents of messages in calls, under the rules of webhooks in Slack's format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bolt_app.blockkit.markdown import MARKDOWN_LENGTH
from bolt_app.notifications.content.schema import TS_PATTERN, NotificationRequest, read_one
from bolt_app.notifications.content.webhook_format import PayloadError, members_of
from bolt_app.web.methods.call import Call
from bolt_app.web.methods.errors import MethodError

_TS = re.compile(TS_PATTERN)
# Members of a posted message that chat.update does not change.
_KEPT = ("thread_ts", "username", "icon_emoji", "icon_url", "reply_broadcast")
_STRUCTURES = {"blocks": "invalid_blocks_format", "attachments": "invalid_attachments"}
# Not passed on: Slack keeps the metadata of one sender, and Bellhop's is the delivery mark.
IGNORED = "metadata"


def read_content(call: Call) -> dict[str, Any]:
    """Return the members of a notification that a call describes.

    Raises:
        MethodError: it has no content, or a part of it is malformed.
    """
    check_thread_ts(call)
    try:
        return members_of(given_members(call), key_field="")
    except PayloadError as error:
        raise MethodError(error.code) from None


def check_thread_ts(call: Call) -> None:
    """Check the form of the argument `thread_ts`.

    Raises:
        MethodError: it is malformed.
    """
    thread_ts = call.arguments.ts("thread_ts")
    if thread_ts and not _TS.fullmatch(thread_ts):
        raise MethodError("invalid_thread_ts")


def read_list(call: Call, name: str, code: str) -> list[Any] | None:
    """Return an argument that is a list, or None if it is missing.

    Raises:
        MethodError: it is not a list; the error has this code.
    """
    value = call.arguments.structure(name, code)
    if value is not None and not isinstance(value, list):
        raise MethodError(code)
    return value


def given_members(call: Call) -> dict[str, Any]:
    """Return the arguments of a call as a webhook's payload has them.

    Raises:
        MethodError: a list is malformed, or Markdown has other content beside it.
    """
    arguments = call.arguments
    # A number would be left out, and the reply shown to the whole channel.
    given = {**arguments.values, "thread_ts": arguments.ts("thread_ts") or None}
    for name, code in _STRUCTURES.items():
        given[name] = read_list(call, name, code)
    markdown = arguments.text("markdown_text")
    if not markdown:
        return given
    if arguments.text("text") or given["blocks"]:
        raise MethodError("markdown_text_conflict")
    if len(markdown) > MARKDOWN_LENGTH:
        raise MethodError("msg_too_long")
    return {**given, "text": markdown, "blocks": [{"type": "markdown", "text": markdown}]}


def kept_members(call: Call, given: Mapping[str, Any]) -> Sequence[str]:
    """Return the members of a message that `chat.update` does not change.

    Omitted attachments are kept, and so are blocks if the text is omitted too
    (https://docs.slack.dev/reference/methods/chat.update). The look stays as it was posted.

    Args:
        given: the result of `given_members`.
    """
    has_text = any(call.arguments.has(name) for name in ("text", "markdown_text"))
    # Also where they are missing: a thread would not be checked.
    kept = [*_KEPT]
    if given["attachments"] is None:
        kept.append("attachments")
    if given["blocks"] is None and not has_text:
        kept.append("blocks")
    if not has_text:
        kept.append("text")
    return kept


def merged_content(given: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a message after `chat.update`.

    Args:
        kept: the members that it keeps.

    Raises:
        MethodError: it has no content, or a part of it is malformed.
    """
    try:
        return members_of({**given, **kept}, key_field="")
    except PayloadError as error:
        raise MethodError(error.code) from None


def to_request(call: Call, content: Mapping[str, Any], to: str, **more: Any) -> NotificationRequest:
    """Return the notification with a content for one recipient.

    Raises:
        MethodError: the content is too large.
    """
    try:
        return read_one({**content, **more, "to": [to]}, call.services.clock())
    except ValidationError:
        raise MethodError("msg_too_long") from None


def with_warnings(call: Call, answer: dict[str, Any]) -> dict[str, Any]:
    """Add a warning to an answer if the call has an argument that is not passed on."""
    if not call.arguments.has(IGNORED):
        return answer
    warning = f"{IGNORED}_ignored"
    return {**answer, "warning": warning, "response_metadata": {"warnings": [warning]}}
