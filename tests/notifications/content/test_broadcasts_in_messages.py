"""No rendering of a message mentions a channel or a group, if its sender has no permission to.

A content is swept when it is accepted, but words move when a message is made of it: into other
objects, into the text, into a digest. So the messages themselves are searched here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from bolt_app.config import ROOT
from bolt_app.notifications.content.fallbacks import renderings
from bolt_app.notifications.content.files import (
    AttachedFile,
    NotificationWithFiles,
    with_file_links,
)
from bolt_app.notifications.content.message import mention, render
from bolt_app.notifications.content.schema import NotificationRequest, read_one
from bolt_app.notifications.content.states import IncidentState
from bolt_app.notifications.content.webhook_format import PayloadError, read_webhook
from bolt_app.notifications.digests.content import Entry, digest_content
from bolt_app.notifications.incidents.messages import escalation_content
from bolt_app.notifications.incidents.resolved_content import content_in_state
from bolt_app.notifications.incidents.view import IncidentView
from bolt_app.notifications.intake.planning import Draft
from bolt_app.notifications.intake.sender import Sender
from bolt_app.severity import Severity
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.calling import caller, request
from tests.web.methods.calling import method_caller

Messages = Iterable[Mapping[str, Any]]
NOW = datetime(2026, 1, 31, tzinfo=UTC)
SENDER = Sender(ACME, "api_key:1")
FILE = "F0REPORT01"
FILE_URL = "https://bellhop.example/files/1"
ENDED = IncidentView(IncidentState.RESOLVED, NOW, None, None, None, None, None, NOW)
DIVIDER = [{"type": "divider"}]
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}


def in_digest(content: Mapping[str, Any]) -> Messages:
    entries = [Entry("a", None, Severity.ERROR, NOW)]
    yield from renderings(digest_content(entries, lambda _: {"a": content}, "https://b.example"))


def with_links(content: Mapping[str, Any]) -> Messages:
    return renderings(with_file_links(content, {FILE: FILE_URL})) if "files" in content else ()


# Every way of making a message of a stored content.
MESSAGES: Mapping[str, Callable[[Mapping[str, Any]], Messages]] = {
    "the message": renderings,
    "with answers": lambda content: renderings(content, under=DIVIDER),
    "with mentions": lambda content: renderings(mention(content, ["U0ANN00001"])),
    "with files": with_links,
    "of an ended incident": lambda content: renderings(content_in_state(content, ENDED)),
    "an escalation": lambda content: renderings(escalation_content(content)),
    "a digest": in_digest,
    "only one person sees it": lambda content: [render(content)],
}

PIECES = (
    *("<", "!", ">", "|", "&lt;", "&gt;", "&amp;", "\\", "`", "```", "[", "](", ")", "*", "_", "~"),
    *("here", "channel", "<!here>", "<!channel|", "<!subteam^S1>", "<!SUBTEAM^S1|@x>", "!here"),
    *("<!date^1^{date}|", "@", "@here", "#", "x", " ", "\n", "\r", "\u200b", "\u00ad", "\x01"),
    *("http://a/", "https://a.example/", "mailto:", ":"),
)
WORDS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
TYPES = st.sampled_from(
    [
        *("broadcast", "usergroup", "team", "mrkdwn", "plain_text", "section", "context", "image"),
        *("header", "markdown", "actions", "button", "table", "rich_text", "rich_text_section"),
        *("link", "emoji", "date", "user", "text", "raw_text"),
    ]
)
NAMES = st.sampled_from(
    [
        *("text", "title", "title_link", "pretext", "fallback", "footer", "fields", "value", "url"),
        *("elements", "rows", "accessory", "image_url", "alt_text", "range", "usergroup_id"),
        *("name", "blocks", "author_name", "color", "link_names", "parse", "<!here>"),
    ]
)
PARTS: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.dictionaries(NAMES, VALUES, max_size=4)
        | st.builds(
            lambda kind, part: {"type": kind, **part},
            TYPES,
            st.dictionaries(NAMES, VALUES, max_size=4),
        )
    )
)
VALUES: st.SearchStrategy[Any] = WORDS | st.integers(0, 9) | st.lists(PARTS, max_size=2) | PARTS
LAYOUT = st.lists(PARTS.filter(bool), min_size=1, max_size=2)
# The members that two requests may combine; the others contradict one another.
WITH_OWN_LAYOUT = st.fixed_dictionaries(
    {},
    optional={
        "text": WORDS,
        "blocks": LAYOUT,
        "attachments": LAYOUT,
        "title": WORDS,
        "severity": st.sampled_from(["error", "success"]),
        "link": WORDS.map("https://a.example/{}".format),
        "username": WORDS,
        "link_names": st.booleans(),
        "mrkdwn": st.booleans(),
    },
)
WITH_BELLHOPS_LAYOUT = st.fixed_dictionaries(
    {},
    optional={
        "text": WORDS,
        "format": st.sampled_from(["markdown", "mrkdwn"]),
        "title": WORDS,
        "severity": st.sampled_from(["error", "success"]),
        "fields": st.lists(st.fixed_dictionaries({"name": WORDS, "value": WORDS}), max_size=2),
        "rows": st.lists(st.lists(WORDS, min_size=1, max_size=2), max_size=2),
        "image_url": WORDS.map("https://a.example/{}".format),
        "link": WORDS.map("https://a.example/{}".format),
        "attachments": LAYOUT,
    },
)
_SPECIAL = re.compile(r"<!(?!date\^)", re.IGNORECASE)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, Mapping):
        assert value.get("type") not in ("broadcast", "usergroup", "team"), value
        assert not {"link_names", "parse"} & value.keys(), value
        for item in value.values():
            yield from strings(item)


def assert_mentions_nobody(request: NotificationRequest) -> None:
    content = Draft.of(SENDER, request, NOW).row["content"]
    for name, make in MESSAGES.items():
        for message in make(content):
            found = [text for text in strings(message) if _SPECIAL.search(text)]
            assert not found, (name, content)


@given(WITH_OWN_LAYOUT | WITH_BELLHOPS_LAYOUT)
def test_no_notification_mentions_everyone(members: dict[str, Any]) -> None:
    try:
        found = read_one({**members, "to": "#general"}, NOW)
    except ValidationError:
        # Nothing to say, for example.
        assume(False)
    assert_mentions_nobody(found)


@given(WITH_OWN_LAYOUT)
def test_no_body_in_slacks_format_mentions_everyone(payload: dict[str, Any]) -> None:
    try:
        found = read_webhook(payload, ["#general"], NOW)
    except PayloadError:
        assume(False)
    assert_mentions_nobody(found)


@given(WORDS, WORDS)
def test_no_file_mentions_everyone(name: str, title: str) -> None:
    file = AttachedFile(id=FILE, name=name, title=title, size=1)
    members = {"to": "#general", "text": "x", "blocks": [SECTION], "files": [file]}
    assert_mentions_nobody(NotificationWithFiles.model_validate(members))


# Elements of rich text, in places where Slack has none.
MISPLACED: list[dict[str, Any]] = [
    {"type": "broadcast", "range": "<!channel>"},
    {"type": "broadcast", "range": "<!subteam^S0OPS00001>"},
    {"type": "broadcast", "range": ["<!channel>"]},
    {"type": "broadcast"},
    {"type": "usergroup", "usergroup_id": "<!channel>"},
    {"type": "team", "team_id": "<!channel>"},
]


@pytest.mark.parametrize("element", MISPLACED)
def test_no_misplaced_element_mentions_everyone(element: dict[str, Any]) -> None:
    members = {"to": "#general", "text": "x", "attachments": [element], "blocks": [element]}
    assert_mentions_nobody(read_one(members, NOW))


def test_everything_that_makes_a_message_is_swept() -> None:
    """A module that renders contents in another way belongs into `MESSAGES`."""
    rendering = re.compile(
        r"from bolt_app\.notifications\.content\.(?:message|fallbacks) import "
        r"(?:\([^)]*|[^\n]*)\brender(?:ings)?\b"
    )
    sources = {
        path.relative_to(ROOT / "bolt_app").as_posix(): path.read_text()
        for path in (ROOT / "bolt_app").rglob("*.py")
    }
    modules = {name for name, source in sources.items() if rendering.search(source)}

    assert modules == {
        "notifications/content/fallbacks.py",
        "notifications/delivery/sender.py",
        "web/methods/ephemeral.py",
        # Previews of links, which notify nobody.
        "slack/notifications/blocks.py",
    }


ATTACK = {
    "text": "Look",
    "attachments": [{"type": "broadcast", "range": "<!channel>"}],
    # Slack rejects them, so that the words of the attachment go into the text.
    "blocks": [{"type": "nonsense"}],
}


def post(bellhop: Bellhop, entry: str) -> None:
    if entry == "webhook":
        url = bellhop.services.webhooks.create(ACME, "alerts", [GENERAL])
        assert request("POST", url, json.dumps(ATTACK).encode()).text == "ok"
    elif entry == "HTTP API":
        assert caller(bellhop).send({"to": GENERAL, **ATTACK}).status == 202
    else:
        method_caller(bellhop).ok("chat.postMessage", channel=GENERAL, **ATTACK)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("entry", ["webhook", "HTTP API", "Slack-compatible Web API"])
def test_a_rejected_layout_mentions_nobody(bellhop: Bellhop, entry: str) -> None:
    bellhop.install(ANN)
    post(bellhop, entry)
    Hand(bellhop).deliver()

    [message] = bellhop.slack.messages(GENERAL)
    assert "Look" in message.text
    shown = json.dumps([message.text, message.blocks, message.attachments])
    assert not _SPECIAL.search(shown)


@pytest.mark.sqlite_only
def test_what_one_person_sees_mentions_nobody(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    content = {"text": "Look", "attachments": [{"type": "broadcast", "range": "<!channel>"}]}
    bellhop.slack.invite_bot(ANN, GENERAL)
    program = method_caller(bellhop)
    program.ok("chat.postEphemeral", channel=GENERAL, user=ANN, **content)

    [shown] = bellhop.slack.ephemerals(ANN)
    assert not _SPECIAL.search(json.dumps(shown.attachments))
