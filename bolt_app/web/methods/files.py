"""`files.*`: uploads of files, and the messages that share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bolt_app.credentials.api_keys import Scope
from bolt_app.notifications.content.files import AttachedFile, NotificationWithFiles, file_url
from bolt_app.notifications.content.webhook_format import readable_members
from bolt_app.notifications.files.errors import (
    FileLimitError,
    FileTooLargeError,
    FileUnavailableError,
    TooManyUploadsError,
)
from bolt_app.notifications.files.store import StoredFile
from bolt_app.notifications.intake.sender import Sender
from bolt_app.text_forms import visible
from bolt_app.web.errors import RETRY_SECONDS
from bolt_app.web.methods.auth import charge
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.charged import charged_by_transaction
from bolt_app.web.methods.chat import require_own_thread
from bolt_app.web.methods.contents import check_thread_ts, read_list
from bolt_app.web.methods.destinations import Destination, find_destinations
from bolt_app.web.methods.errors import MethodError, OverloadError, invalid_argument

NAME_LENGTH = 255
# Of a name or title, with characters that are removed.
_READ_LENGTH = 1000
ALT_TEXT_LENGTH = 1000
# Files in one message.
MOST_FILES = 20
MOST_CHANNELS = 100
_LOOKS = ("username", "icon_emoji", "icon_url")


def get_upload_url(call: Call) -> Answer:
    """Announce a file, and return the URL that takes its bytes
    (https://docs.slack.dev/reference/methods/files.getUploadURLExternal).
    """
    name = _line(call.arguments.require_text("filename"))
    length = _length(call.arguments.text("length"))
    alt_text = call.arguments.text("alt_txt")
    if not name:
        raise invalid_argument("missing required field: filename")
    if len(alt_text) > ALT_TEXT_LENGTH:
        raise MethodError("alt_txt_too_large")
    files, credential = call.services.files, call.key.credential
    try:
        with charged_by_transaction(call):
            opened = files.open_upload(call.team_id, credential, name, length, alt_text or None)
    except FileLimitError as error:
        raise _over_limit(call, error) from None
    return {"upload_url": opened.url, "file_id": opened.file_id}


def complete_upload(call: Call) -> Answer:
    """Share uploaded files in channels, one message for each channel
    (https://docs.slack.dev/reference/methods/files.completeUploadExternal).

    Without a channel the files stay private, and can be shared by another call within an hour.
    """
    titles = _titles(call)
    destinations = _destinations(call)
    content = _content(call)
    sender = Sender.of(call.key)
    try:
        source = sender.source or sender.name
        stored = call.services.files.find_ready(call.team_id, source, titles.keys())
        attached = [_attached(stored[id_], title) for id_, title in titles.items()]
        if destinations:
            requests = [_request(call, one, content, attached) for one in destinations]
            with charged_by_transaction(call):
                call.services.intake.submit(sender, requests, as_messages=True)
        else:
            charge(call.services, call.key)
    except FileUnavailableError:
        raise MethodError("file_not_found") from None
    return {"files": [_shown(call, file) for file in attached]}


def _length(text: str) -> int:
    # Slack's answer to an empty file, too.
    if not text.strip("0"):
        raise MethodError("missing_argument")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_argument("must be an integer [json-pointer:/length]")
    return int(text)


def _over_limit(call: Call, error: FileLimitError) -> MethodError | OverloadError:
    if isinstance(error, TooManyUploadsError):
        return OverloadError(RETRY_SECONDS)
    if not isinstance(error, FileTooLargeError):
        return MethodError("storage_limit_reached")
    megabytes = call.services.settings.file_megabytes
    if megabytes == 0:
        return MethodError("file_uploads_disabled")
    return MethodError("file_upload_size_restricted", f"Files may have up to {megabytes} MiB.")


def _titles(call: Call) -> Mapping[str, str]:
    """Return the titles of the files of a call, by id; empty: the name."""
    given = call.arguments.structure("files", "invalid_arguments")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_FILES:
        raise invalid_argument(f"must list between 1 and {MOST_FILES} files [json-pointer:/files]")
    titles = {}
    for number, file in enumerate(given):
        id_ = file.get("id") if isinstance(file, dict) else None
        if not isinstance(id_, str) or not id_:
            raise invalid_argument(f"missing required field: id [json-pointer:/files/{number}]")
        title = file.get("title")
        titles[id_] = _line(title) if isinstance(title, str) else ""
    return titles


def _destinations(call: Call) -> Sequence[Destination]:
    listed = [call.arguments.text("channel_id"), *call.arguments.text("channels").split(",")]
    names = list(dict.fromkeys(filter(None, (name.strip() for name in listed))))
    if len(names) > MOST_CHANNELS:
        raise MethodError("channels_limit_exceeded")
    found = {destination.address: destination for destination in find_destinations(call, names)}
    if len(found) > 1 and call.arguments.has("thread_ts"):
        raise invalid_argument("requires a single channel [json-pointer:/thread_ts]")
    return list(found.values())


def _content(call: Call) -> Mapping[str, Any]:
    """Return the members of the message beside its files. Blocks count only without a comment."""
    check_thread_ts(call)
    looks = {name: call.arguments.values.get(name) for name in _LOOKS}
    given = {**looks, "thread_ts": call.arguments.ts("thread_ts") or None}
    if comment := call.arguments.text("initial_comment"):
        return readable_members({**given, "text": comment})
    return readable_members({**given, "blocks": read_list(call, "blocks", "invalid_blocks")})


def _attached(file: StoredFile, title: str) -> AttachedFile:
    return AttachedFile(id=file.id, name=file.name, title=title or file.name, size=file.length)


def _request(
    call: Call,
    destination: Destination,
    content: Mapping[str, Any],
    files: Sequence[AttachedFile],
) -> NotificationWithFiles:
    require_own_thread(call, destination, content)
    members = {**content, "to": [destination.address], "files": files}
    context = {"now": call.services.clock()}
    try:
        return NotificationWithFiles.model_validate(members, context=context)
    except ValidationError:
        raise MethodError("msg_too_long") from None


def _shown(call: Call, file: AttachedFile) -> Answer:
    page = file_url(call.services.settings.public_url, file.id)
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "size": file.size,
        "permalink": page,
    }


def _line(text: str) -> str:
    """Return a name or title as one line without invisible characters."""
    line = visible(" ".join(text[:_READ_LENGTH].split()))
    return "".join(character for character in line if character.isprintable())[:NAME_LENGTH]


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, Scope.SEND, charges=True),
    "files.completeUploadExternal": Method(complete_upload, Scope.SEND, charges=True),
}
