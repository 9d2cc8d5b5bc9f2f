"""Uploads of files, as a program makes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bolt_app.notifications.files.store import StoredFile
from tests.running import Bellhop, Page
from tests.web.calling import request
from tests.web.methods.calling import MethodCaller

GET_URL, COMPLETE = "files.getUploadURLExternal", "files.completeUploadExternal"


def open_upload(ci: MethodCaller, length: int = 5, name: str = "a.txt") -> tuple[str, str]:
    """Announce a file; return its id and its upload URL."""
    answer = ci.ok(GET_URL, filename=name, length=length)
    return str(answer["file_id"]), str(answer["upload_url"])


def send_bytes(url: str, data: bytes, content_type: str = "application/octet-stream") -> Page:
    """Send bytes to an upload URL."""
    return request("POST", url, data, {"Content-Type": content_type})


@contextmanager
def slow_upload(ci: MethodCaller, data: bytes) -> Iterator[HTTPConnection]:
    """Begin to upload a new file, as `slow_request`."""
    _, url = open_upload(ci, len(data))
    with slow_request(url, data) as connection:
        yield connection


@contextmanager
def slow_request(url: str, data: bytes) -> Iterator[HTTPConnection]:
    """Begin an upload; yield its connection, over which all but the last byte were sent."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=20)) as connection:
        connection.putrequest("POST", parts.path)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data[:-1])
        yield connection


def upload(ci: MethodCaller, data: bytes = b"Hello", name: str = "a.txt") -> str:
    """Upload a file; return its id."""
    file_id, url = open_upload(ci, len(data), name)
    page = send_bytes(url, data)
    assert page.status == 200, page.text
    return file_id


def share(ci: MethodCaller, channel: str, data: bytes = b"Hello", name: str = "a.txt") -> str:
    """Upload a file and share it in a channel; return its id."""
    file_id = upload(ci, data, name)
    ci.ok(COMPLETE, files=[{"id": file_id}], channel_id=channel)
    return file_id


def stored(bellhop: Bellhop, file_id: str) -> StoredFile | None:
    """Return a stored file."""
    return bellhop.services.files.find(file_id)
