"""Sweep: no method answers 500 to any input, and its answer is always Slack's JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.web.methods import METHODS
from bolt_app.web.methods.identity import API_TEST
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Page
from tests.test_hostile_inputs import HOSTILE_JSON, HOSTILE_TEXT
from tests.web.calling import call_app
from tests.web.methods.calling import FORM, JSON, MethodCaller, method_caller
from tests.web.methods.test_messages import grant_reactions
from tests.web.methods.uploading import upload

pytestmark = [pytest.mark.slow, pytest.mark.sqlite_only]

# Valid arguments, and the ones that each method reads.
ARGUMENTS = {
    "alt_txt": "x",
    "attachments": [],
    "blocks": [],
    "channel": GENERAL,
    "channel_id": GENERAL,
    "channels": GENERAL,
    "cursor": "",
    "email": "ben@acme.example",
    "error": "",
    "exclude_archived": True,
    "filename": "x",
    "files": [{"id": "F0000000001"}],
    "icon_url": "https://example.com/i.png",
    "initial_comment": "",
    "length": 1,
    "limit": 1,
    "markdown_text": None,
    "message_ts": "1.1",
    "metadata": {},
    "mrkdwn": True,
    "name": "eyes",
    "post_at": 4_000_000_000,
    "reply_broadcast": True,
    "return_im": True,
    "scheduled_message_id": "Q1",
    "team": ACME,
    "text": "x",
    "thread_ts": "1.1",
    "timestamp": "1.1",
    "token": None,
    "ts": "1.1",
    "types": "public_channel",
    "unfurl_links": False,
    "user": BEN,
    "username": "x",
    "users": BEN,
}
CONTENT = (
    *("channel", "text", "blocks", "attachments", "markdown_text", "metadata", "mrkdwn"),
    *("icon_url", "username", "unfurl_links", "reply_broadcast", "thread_ts", "token"),
)
READ: dict[str, tuple[str, ...]] = {
    "api.test": ("error", "text", "token"),
    "auth.test": ("token",),
    "chat.delete": ("channel", "ts"),
    "chat.deleteScheduledMessage": ("channel", "scheduled_message_id"),
    "chat.getPermalink": ("channel", "message_ts"),
    "chat.postEphemeral": ("channel", "text", "user", "thread_ts", "blocks"),
    "chat.postMessage": CONTENT,
    "chat.scheduleMessage": ("channel", "text", "post_at", "thread_ts"),
    "chat.scheduledMessages.list": ("channel",),
    "chat.update": (*CONTENT, "ts"),
    "conversations.info": ("channel",),
    "conversations.join": ("channel",),
    "conversations.list": ("types", "limit", "cursor", "exclude_archived"),
    "conversations.open": ("channel", "users", "return_im"),
    "files.completeUploadExternal": (
        *("files", "channel_id", "channels", "initial_comment", "blocks", "thread_ts"),
        *("username", "icon_url"),
    ),
    "files.getUploadURLExternal": ("filename", "length", "alt_txt"),
    "reactions.add": ("channel", "timestamp", "name"),
    "team.info": ("team",),
    "users.conversations": ("types", "limit", "cursor", "exclude_archived", "user"),
    "users.info": ("user",),
    "users.list": ("limit", "cursor"),
    "users.lookupByEmail": ("email",),
}
MARK = "hostile-value"


@dataclass(frozen=True)
class DirectCaller(MethodCaller):
    """A program that calls the app without a server."""

    bellhop: Bellhop

    def post(self, method: str, body: bytes, content_type: str) -> Page:
        """Make any call."""
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self.key}"}
        return call_app(self.bellhop, "POST", f"{self.url}/api/{method}", body, headers)


def direct_caller(bellhop: Bellhop, *scopes: Scope) -> DirectCaller:
    made = method_caller(bellhop, *scopes)
    return DirectCaller(made.url, made.key, bellhop)


def check(answer: Page) -> None:
    assert answer.status in (200, 413, 503), answer.text
    assert isinstance(answer.json()["ok"], bool)


@pytest.mark.parametrize("hostile", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_json(bellhop: Bellhop, hostile: str) -> None:
    bellhop.install(ANN)
    grant_reactions(bellhop)
    caller = direct_caller(bellhop, *Scope)
    ts = caller.ok("chat.postMessage", channel=GENERAL, text="x")["ts"]
    known = {**ARGUMENTS, **dict.fromkeys(("ts", "thread_ts", "timestamp", "message_ts"), ts)}

    file_id = upload(caller)
    for hostile_file in ({"id": MARK}, {"id": file_id, "title": MARK}):
        body = json.dumps({"files": [hostile_file]}).replace(f'"{MARK}"', hostile)
        check(caller.post("files.completeUploadExternal", body.encode(), JSON))
    for method, names in READ.items():
        for name in names:
            body = json.dumps({**known, name: MARK}).replace(f'"{MARK}"', hostile)
            check(caller.post(method, body.encode(), JSON))
    Hand(bellhop).deliver()


@pytest.mark.parametrize("hostile", HOSTILE_TEXT.values(), ids=HOSTILE_TEXT.keys())
def test_forms(bellhop: Bellhop, hostile: str) -> None:
    bellhop.install(ANN)
    caller = direct_caller(bellhop, *Scope)
    given = {name: str(value) for name, value in ARGUMENTS.items()}

    for method, names in READ.items():
        for name in names:
            answer = caller.form(method, **{**given, name: hostile})
            assert isinstance(answer["ok"], bool)


@pytest.mark.parametrize("body", [b"", b"\xff", b"\0", b"a=%00", b"token=%ff", b"--x--"])
@pytest.mark.parametrize("content_type", [JSON, FORM, "multipart/form-data; boundary=x", "x", ""])
def test_bodies(bellhop: Bellhop, body: bytes, content_type: str) -> None:
    caller = direct_caller(bellhop, *Scope)

    for method in ("chat.postMessage", "conversations.list", API_TEST):
        check(caller.post(method, body, content_type))


def test_every_method_is_swept() -> None:
    assert set(READ) == {*METHODS, API_TEST}
