"""Summaries of notifications in one line."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.content.summaries import HEADLINE_LENGTH, headline, plain
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.slack.test_home import home
from tests.web.calling import request


@pytest.mark.parametrize(
    ("mrkdwn", "said"),
    [
        ("plain", "plain"),
        ("*bold* _it_ ~gone~ *_both_*", "bold it gone both"),
        ("2 * 3 * 4 snake_case_name 2*3*4", "2 * 3 * 4 snake_case_name 2*3*4"),
        ("`a_b_` ```\nc *d*```", "a_b_ c *d*"),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<https://x.example/a?b=1&amp;c=2|the *page*>", "the page"),
        ("<https://x.example>", "https://x.example"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<@U1|ann> <@U1> <#C1|ops> <#C1>", "@someone @someone #channel #channel"),
        ("<!here> <!channel|channel> <!subteam^S1|@oncall>", "@here channel @oncall"),
        ("<!date^1^{date}|31 January>", "31 January"),
        ("> quoted\n&gt; twice", "quoted twice"),
        ("a < b > c", "a < b > c"),
        (":tada: done", ":tada: done"),
    ],
)
def test_mrkdwn_is_read_as_people_see_it(mrkdwn: str, said: str) -> None:
    assert " ".join(plain(mrkdwn).split()) == said
    assert headline({"text": mrkdwn}) == said


def test_text_that_is_not_formatted_keeps_its_stars() -> None:
    assert headline({"text": "*a* &lt;b&gt;", "mrkdwn": False}) == "*a* <b>"


SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "*Disk* &lt;full&gt;"}}
RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "Disk ", "style": {"bold": True}},
                {"type": "link", "url": "https://x.example", "text": "<full>"},
            ],
        }
    ],
}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"title": "a *b* &amp;", "text": "x"}, "a *b* &amp;"),
        ({"blocks": [SECTION]}, "Disk <full>"),
        ({"blocks": [RICH]}, "Disk <full>"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Disk"}}]}, "Disk"),
        ({"blocks": [{"type": "image", "image_url": "https://x", "alt_text": "G"}]}, "G"),
        ({"blocks": [{"type": "markdown", "text": "# **Disk**"}]}, "Disk"),
        ({"blocks": [{"type": "divider"}, SECTION]}, "Disk <full>"),
        ({"blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": "*a*"}]}]}, "a"),
        ({"blocks": [{"type": "actions", "elements": [{"type": "button", "text": "x"}]}]}, None),
        ({"attachments": [{"fallback": "F", "title": "T", "pretext": "P", "text": "X"}]}, "F"),
        ({"attachments": [{"fallback": "[no preview available]", "title": "T"}]}, "T"),
        ({"attachments": [{"pretext": "*P*", "text": "X"}]}, "P"),
        ({"attachments": [{"color": "danger"}, {"text": "X &lt;y&gt;"}]}, "X <y>"),
        ({"attachments": [{"blocks": [SECTION]}]}, "Disk <full>"),
        ({"text": "  ", "attachments": [{"text": "X"}]}, "X"),
        ({"attachments": [{"image_url": "https://x"}]}, None),
        ({}, None),
    ],
)
def test_the_first_part_with_a_text_counts(content: Any, said: str | None) -> None:
    assert headline(content) == (said or "A notification")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["mrkdwn"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "elements", "title", "rows"]), inner)
    ),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.sampled_from(["type", "text", "elements", "fields"]), JSON)))
def test_malformed_blocks_and_attachments_are_summed_up(blocks: Any) -> None:
    said = headline({"blocks": blocks, "attachments": [*blocks, {"blocks": blocks}]})
    assert 0 < len(said) <= HEADLINE_LENGTH


def test_a_long_text_is_cut() -> None:
    assert headline({"text": "x" * 40_000}) == "x" * (HEADLINE_LENGTH - 1) + "…"


TEXT = "*Disk* &lt;full&gt; &amp; hot"
# A webhook payload without a text, and a text in mrkdwn.
SAID = {
    "attachments": [{"fallback": TEXT, "color": "danger"}],
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": TEXT}}],
    "text": TEXT,
}
SEEN = "Disk <full> & hot"


def digest(bellhop: Bellhop) -> str:
    Hand(bellhop).deliver()
    bellhop.clock.advance(3700)
    Hand(bellhop).deliver()
    message = bellhop.slack.messages(GENERAL)[-1]
    assert "Digest" in message.text
    return json.dumps(message.blocks, ensure_ascii=False)


def preview(bellhop: Bellhop) -> str:
    asked = bellhop.slack.send_command(ANN, "C0ACME0002", "/notify", "subscribe alerts")
    assert asked.message is not None
    return json.dumps(asked.message.blocks, ensure_ascii=False)


def app_home(bellhop: Bellhop) -> str:
    Hand(bellhop).deliver()
    return json.dumps(home(bellhop).blocks, ensure_ascii=False)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("part", SAID)
@pytest.mark.parametrize("place", [digest, preview, app_home])
def test_every_summary_has_it_once_and_escapes_it_once(
    bellhop: Bellhop, place: Callable[[Bellhop], str], part: str
) -> None:
    bellhop.install(ANN)
    schedule = Schedule() if place is digest else None
    bellhop.services.subscriptions.subscribe(
        ACME, GENERAL, SubscriptionSpec("alerts", digest=schedule)
    )
    url = bellhop.services.webhooks.create(ACME, "alerts", ["topic:alerts"])
    for _ in range(2):
        body = json.dumps({part: SAID[part]}).encode()
        assert request("POST", url, body, {"Content-Type": "application/json"}).status == 200

    shown = place(bellhop)

    assert html.escape(SEEN, quote=False) in shown
    assert "A notification" not in shown
    assert "*Disk*" not in shown
    assert "&amp;lt;" not in shown
