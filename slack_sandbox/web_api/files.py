"""``files.*``: the upload of files in three steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.messages import Content, add_message, as_bot
from slack_sandbox.uploads import open_upload, permalink, upload_url
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import Channel, JsonDict, SlackFile

MOST_CHANNELS = 100
ALT_TEXT_LENGTH = 1_000
_WRITE = ("files:write",)


@method("files.getUploadURLExternal", Tier.FOUR, scopes=_WRITE, takes_json=True)
def get_upload_url(call: Call) -> JsonDict:
    """Return the address that receives a file
    (https://docs.slack.dev/reference/methods/files.getUploadURLExternal).
    """
    name, length = call.need_text("filename"), call.number("length", 0)
    if length <= 0:
        raise ApiError("missing_argument")
    if len(call.text("alt_txt")) > ALT_TEXT_LENGTH:
        raise ApiError("alt_txt_too_large")
    file = open_upload(call.core, call.team_id(), call.viewer.id, name, length)
    return {"ok": True, "upload_url": upload_url(call.core, file), "file_id": file.id}


@method("files.completeUploadExternal", Tier.FOUR, scopes=_WRITE, takes_json=True)
def complete_upload(call: Call) -> JsonDict:
    """Finish files that have received their bytes, and share them
    (https://docs.slack.dev/reference/methods/files.completeUploadExternal).
    """
    given = call.structure("files")
    if not isinstance(given, list) or not given:
        raise ApiError("invalid_arguments")
    found = [_uploaded(call, one) for one in given]
    channels = list(_channels(call))
    with call.core.edit():
        for file, one in zip(found, given, strict=True):
            file.title = str(one.get("title") or file.name)
            file.is_complete = True
    for channel in channels:
        _share(call, channel, found)
    return {"ok": True, "files": [_shown(call, file) for file in found]}


def _uploaded(call: Call, given: Any) -> SlackFile:
    id_ = given.get("id") if isinstance(given, dict) else None
    file = call.core.world.files.get(str(id_))
    is_own = file is not None and file.user_id == call.viewer.id
    if file is None or not is_own or file.data is None or file.is_complete:
        raise ApiError("file_not_found")
    return file


def _channels(call: Call) -> Iterator[Channel]:
    ids = [call.text("channel_id"), *call.text("channels").split(",")]
    named = [id_.strip() for id_ in ids if id_.strip()]
    if len(named) > MOST_CHANNELS:
        raise ApiError("channels_limit_exceeded")
    for id_ in named:
        channel = call.find_channel(id_)
        if call.viewer.id not in channel.members:
            raise ApiError("not_in_channel")
        yield channel


def _share(call: Call, channel: Channel, files: list[SlackFile]) -> None:
    links = "".join(f"\n<{permalink(call.core, file)}|{file.title}>" for file in files)
    content = Content(f"{call.text('initial_comment')}{links}".strip())
    add_message(call.core, as_bot(call.core, channel, call.installation, content))


def _shown(call: Call, file: SlackFile) -> JsonDict:
    return {
        "id": file.id,
        "created": int(file.created),
        "timestamp": int(file.created),
        "name": file.name,
        "title": file.title,
        "user": file.user_id,
        "size": file.length,
        "permalink": permalink(call.core, file),
    }
