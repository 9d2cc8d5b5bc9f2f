"""``files.*``: the upload of files in three steps."""

from __future__ import annotations

from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import Sandbox, SandboxServer
from slack_sandbox.uploads import UPLOAD_LIFETIME
from tests.slack_sandbox.conftest import BOT_SCOPES, FakeClock, Installer

PATH = "/upload/v1/"


@pytest.fixture
def files_bot(installer: Installer, server: SandboxServer) -> WebClient:
    """A bot that may upload files."""
    answer = installer.install(scope=",".join([*BOT_SCOPES, "files:write"]))
    return WebClient(answer["access_token"], base_url=f"{server.url}/api/")


def _refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    return str(caught.value.response["error"])


def _upload(url: str, data: bytes) -> int:
    try:
        with urlopen(Request(url, data=data), timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_a_file_without_a_channel(files_bot: WebClient, slack: Sandbox) -> None:
    answer = files_bot.files_upload_v2(filename="a.txt", content="Hello", title="A")
    [file] = answer["files"]
    assert (file["title"], file["size"]) == ("A", 5)
    assert slack.files[file["id"]].data == b"Hello"
    with urlopen(file["permalink"], timeout=10) as page:  # noqa: S310
        assert (page.read(), page.headers["Content-Disposition"]) == (b"Hello", "attachment")


def test_a_file_in_a_channel(files_bot: WebClient, slack: Sandbox, general: str) -> None:
    assert _refused(files_bot.files_upload_v2, content="x", channel=general) == "not_in_channel"
    files_bot.conversations_join(channel=general)
    files_bot.files_upload_v2(content="x", title="A", channel=general, initial_comment="Hi")
    assert slack.messages(general)[-1].text.startswith("Hi\n<http")


def test_an_address_takes_the_announced_bytes_once(
    files_bot: WebClient, slack: Sandbox, clock: FakeClock
) -> None:
    opened = files_bot.files_getUploadURLExternal(filename="a", length=3)
    files = [{"id": opened["file_id"]}]
    finish = files_bot.files_completeUploadExternal
    assert _upload(opened["upload_url"], b"four") == 400
    assert _refused(finish, files=files) == "file_not_found"
    assert _upload(opened["upload_url"], b"abc") == 200
    assert _upload(opened["upload_url"], b"abc") == 404
    assert finish(files=files)["ok"]
    assert _refused(finish, files=files) == "file_not_found"
    late = files_bot.files_getUploadURLExternal(filename="a", length=3)
    clock.move(UPLOAD_LIFETIME)
    assert _upload(late["upload_url"], b"abc") == 404


def test_refused_calls(files_bot: WebClient) -> None:
    start = files_bot.files_getUploadURLExternal
    assert _refused(start, filename="a", length=0) == "missing_argument"
    assert _refused(start, filename="a", length=1, alt_txt="x" * 1001) == "alt_txt_too_large"
    unknown = _refused(files_bot.files_completeUploadExternal, files=[{"id": "F1"}])
    assert unknown == "file_not_found"


def test_the_scope_is_needed(bot: WebClient) -> None:
    start = bot.files_getUploadURLExternal
    assert _refused(start, filename="a", length=1) == "missing_scope"
