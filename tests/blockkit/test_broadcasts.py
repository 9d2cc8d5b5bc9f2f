"""Broadcast mentions by senders without permission: removed from every field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bolt_app.blockkit.broadcasts import without_broadcasts
from bolt_app.notifications.content.message import render, without_images
from bolt_app.notifications.content.schema import Content
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.calling import caller, request

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MENTIONS = [
    "<!channel>",
    "<!here>",
    "<!everyone>",
    "<!group>",
    "<!CHANNEL>",
    "<!here|here>",
    "<!here|<!channel>",
    "<!chan<!here>nel>",
    "<!subteam^S0OPS00001>",
    "<!subteam^S0OPS00001|@ops>",
    "<!channel",
    "<!channel|",
    "@channel",
    "@here",
    "@everyone",
    "(@Channel)",
    "/@here!",
    "_@here_",
    "*@channel*",
]
# Every text of a notification, at every depth.
PLACES: dict[str, Any] = {
    "text": "{}",
    "title": "{}",
    "fields": [{"name": "{}", "value": "{}"}],
    "rows": [["{}", "{}"]],
    "username": "{}",
    "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": "{}"}},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "{}"}]},
        {"type": "header", "text": {"type": "plain_text", "text": "{}"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "{}"}]},
        {"type": "markdown", "text": "{}"},
        {"type": "image", "image_url": "https://a.example/1.png", "alt_text": "{}"},
        {"type": "unknown", "deep": [[{"er": {"text": "{}"}}]]},
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_list",
                    "elements": [
                        {
                            "type": "rich_text_section",
                            "elements": [{"type": "text", "text": "{}"}],
                        }
                    ],
                }
            ],
        },
    ],
    "attachments": [
        {
            "fallback": "{}",
            "pretext": "{}",
            "title": "{}",
            "text": "{}",
            "footer": "{}",
            "author_name": "{}",
            "fields": [{"title": "{}", "value": "{}"}],
            "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{}"}}],
        }
    ],
}


def filled(value: Any, words: str) -> Any:
    """Return a value with `words` in every text."""
    if isinstance(value, str):
        return value.replace("{}", words)
    if isinstance(value, list):
        return [filled(item, words) for item in value]
    return {name: filled(item, words) for name, item in value.items()}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def calls_everybody(text: str) -> bool:
    """Whether Slack could find a broadcast mention in a text."""
    found = text.lower().replace("<!date^", "")
    return "<!" in found or any(f"@{item}" in found for item in ("channel", "here", "everyone"))


@pytest.mark.parametrize("place", list(PLACES))
def test_no_mention_is_left_in_any_place(place: str, subtests: pytest.Subtests) -> None:
    for mention in MENTIONS:
        with subtests.test(mention):
            content = {place: filled(PLACES[place], f"Look, {mention} now")}

            plain = without_broadcasts(content)

            assert not any(calls_everybody(text) for text in strings(plain))
            assert all("Look, " in text for text in strings(plain) if " now" in text)


def test_every_field_of_a_notification_is_swept() -> None:
    # Other fields of a notification are checked elsewhere, or are not text.
    no_text = {
        "severity",
        "link",
        "image_url",
        "thread_ts",
        "unfurl_links",
        "unfurl_media",
        "link_names",
        "reply_broadcast",
        "mrkdwn",
        "icon_emoji",
        "icon_url",
        "mentions",
        "actions",
        "format",
    }

    assert set(Content.model_fields) == set(PLACES) | no_text


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ({"type": "broadcast", "range": "here"}, "@\u200bhere"),
        ({"type": "usergroup", "usergroup_id": "S0OPS00001"}, "@\u200bgroup"),
    ],
)
def test_elements_of_rich_text_become_words(element: dict[str, str], words: str) -> None:
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": "a"}, element]}
    content = {"blocks": [{"type": "rich_text", "elements": [section]}]}

    [block] = without_broadcasts(content)["blocks"]

    assert block["elements"][0]["elements"][1] == {"type": "text", "text": words}


def test_other_text_is_unchanged() -> None:
    content = {
        "text": "<@U0ANN00001> a@here.example <!date^1^{date}|today> <https://a.example|x> @hereby",
        "mentions": ["@here@acme.example"],
        "link": "https://a.example/@here/1",
        "blocks": [{"type": "image", "image_url": "https://a.example/@here.png", "n": 1}],
    }

    assert without_broadcasts(content) == content


def test_links_from_plain_names_are_not_asked_for() -> None:
    attachment = {"text": "x", "parse": "full", "link_names": 1}

    plain = without_broadcasts({"text": "x", "link_names": True, "attachments": [attachment]})

    assert plain == {"text": "x", "attachments": [{"text": "x"}]}


@pytest.mark.parametrize("url", ["!channel", "!here", "!subteam^S0OPS00001", "@U0ANN00001", "#C1"])
def test_an_image_shown_as_a_link_makes_no_mention(url: str) -> None:
    image = {"type": "image", "image_url": url, "alt_text": "Now"}
    content = without_broadcasts({"blocks": [image], "attachments": [{"blocks": [image]}]})

    shown = without_images(render(content))

    assert shown["blocks"][0]["text"]["text"] == "Now"
    assert not any("<" in text for text in strings(shown))


BODY = {
    "text": "Now, <!channel>",
    "link_names": True,
    "attachments": [{"text": "@here and <!subteam^S0OPS00001|ops>"}],
}


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def posted(bellhop: Bellhop) -> str:
    bellhop.clock.advance(5)
    Hand(bellhop).deliver()
    message = bellhop.slack.messages(GENERAL)[-1]
    return json.dumps([message.text, message.blocks, message.attachments], ensure_ascii=False)


@on_sqlite
@pytest.mark.parametrize("may", [False, True])
def test_an_api_key_may_broadcast_if_allowed(installed: Bellhop, may: bool) -> None:
    sent = caller(installed, allow_broadcast=may).send({"to": GENERAL, **BODY})

    assert sent.status == 202
    text = posted(installed)
    assert ("<!channel>" in text, "@here" in text, "<!subteam^" in text) == (may, may, may)


@on_sqlite
def test_a_rejected_image_makes_no_mention(installed: Bellhop) -> None:
    image = {"type": "image", "image_url": "!channel", "alt_text": "Now"}

    assert caller(installed).send({"to": GENERAL, "text": "x", "blocks": [image]}).status == 202

    assert "!channel" not in posted(installed)


@on_sqlite
@pytest.mark.parametrize("may", [False, True])
def test_a_webhook_may_broadcast_if_allowed(installed: Bellhop, may: bool) -> None:
    url = installed.services.webhooks.create(ACME, "alerts", [GENERAL], allow_broadcast=may)

    assert request("POST", url, json.dumps(BODY).encode()).text == "ok"

    text = posted(installed)
    assert ("<!channel>" in text, "@here" in text, "<!subteam^" in text) == (may, may, may)
