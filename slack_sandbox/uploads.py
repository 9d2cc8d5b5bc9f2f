"""Uploads: each file has an address that receives its bytes once.

See https://docs.slack.dev/messaging/working-with-files#uploading_files.
"""

from __future__ import annotations

import secrets

from slack_sandbox.core import Core
from slack_sandbox.errors import SandboxError
from slack_sandbox.world import SlackFile

UPLOAD_PATH = "/upload/v1/"
UPLOAD_LIFETIME = 600.0
"""Seconds in which an address works; Slack documents no number."""


class UploadError(SandboxError):
    """Rejected bytes. ``status`` is the HTTP status of the response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def open_upload(core: Core, team_id: str, user_id: str, name: str, length: int) -> SlackFile:
    """A new file, which waits for its bytes."""
    with core.edit():
        id_ = core.world.next_id("F")
        file = SlackFile(id_, team_id, user_id, name, length, core.clock())
        core.world.files[id_] = file
        core.uploads[secrets.token_urlsafe(24)] = file
        return file


def upload_url(core: Core, file: SlackFile) -> str:
    """The address of a file that waits for its bytes."""
    [ticket] = [ticket for ticket, waiting in core.uploads.items() if waiting is file]
    return f"{core.base_url}{UPLOAD_PATH}{ticket}"


def receive(core: Core, ticket: str, data: bytes) -> None:
    """Store the bytes of a file.

    Raises :class:`UploadError`: 404 for an unknown, used or expired address, 400 for another length
    than announced.
    """
    with core.edit():
        file = core.uploads.get(ticket)
        if file is None or core.clock() >= file.created + UPLOAD_LIFETIME:
            raise UploadError(404, "unknown upload address")
        if len(data) != file.length:
            raise UploadError(400, "the length differs from the announced one")
        del core.uploads[ticket]
        file.data = data


def permalink(core: Core, file: SlackFile) -> str:
    """The address of a file for people."""
    return f"{core.base_url}/files/{file.user_id}/{file.id}"
