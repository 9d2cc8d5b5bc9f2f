"""Content of notifications as HTML, without any markup of the sender."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.web.html.content_html import content_html
from bolt_app.web.html.mrkdwn_html import Reader, mrkdwn_html

EAST = timezone(timedelta(hours=2), "EET")
READER = Reader(
    people={"U1": "Ann <Archer>"},
    channels={"C1": "general"},
    local=lambda at: at.astimezone(EAST),
)
# Mostly characters that break parsers.
_PIECES = st.sampled_from(
    [
        *("*", "_", "~", "`", "```", "<", ">", "|", "&lt;", "&amp;", '"', "'", "a", " ", "\n"),
        *("@U1", "#C1", "!here", "!date^1^{date} {time}"),
        *("https://a.example/x_y", "<script>", "javascript:x"),
    ]
)
TEXTS = st.lists(_PIECES | st.text(max_size=3), max_size=30).map("".join)
OURS = re.compile(
    r"</?(?:p|strong|em|del|code|pre|blockquote|br|h3|hr|ul|ol|li|dl|dt|dd|div)>"
    r'|<span class="mention">|</span>|<div class="(?:attachment|quiet)">|<p class="quiet">'
    r'|<dl class="facts">|<a href="(?:https?|mailto|tel):[^"<>]*">|</a>',
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain & <b>", "<p>plain &amp; &lt;b&gt;</p>"),
        ("&lt;b&gt; &amp;lt;", "<p>&lt;b&gt; &amp;lt;</p>"),
        ("*bold* _it_ ~no~ `a*b*`", "<p><strong>bold</strong> <em>it</em> <del>no</del> "),
        ("*a _b_ c*", "<p><strong>a <em>b</em> c</strong></p>"),
        ("2*3*4 snake_case_name", "<p>2*3*4 snake_case_name</p>"),
        ("_see <https://x.example/a_b|it>_", '<em>see <a href="https://x.example/a_b">it</a></em>'),
        ("a\nb", "<p>a<br>b</p>"),
        ("> q\n&gt; r\ns", "<blockquote>q<br>r</blockquote><p>s</p>"),
        ("x\n```\n*a*\n```", "<p>x</p><pre><code>*a*</code></pre>"),
        ("see https://x.example/a.", 'see <a href="https://x.example/a">https://x.example/a</a>.'),
        ("<mailto:a@b.example>", '<a href="mailto:a@b.example">a@b.example</a>'),
        ("<@U1> <@U2|ben> <@U3>", "@Ann &lt;Archer&gt;</span> "),
        ("<@U2|ben>", "@ben"),
        ("<#C1> <#C2|secret>", "#general</span> "),
        ("<#C2|secret>", "#private-channel"),
        ("<!here> <!subteam^S1|@ops>", "@here</span> "),
        ("<!date^0^{date_num} {time}|then>", "1970-01-01 02:00"),
        ("<!date^0^{ago}|then>", "then"),
        ("<!date^99999999999999^{date}|then>", "then"),
    ],
)
def test_mrkdwn_is_rendered_as_in_slack(text: str, html: str) -> None:
    assert html in mrkdwn_html(text, READER)


@given(TEXTS)
def test_no_text_becomes_other_markup_than_ours(text: str) -> None:
    left = OURS.sub("", str(mrkdwn_html(text, READER)))
    assert "<" not in left
    assert ">" not in left


RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "bold", "style": {"bold": True}},
                {"type": "user", "user_id": "U1"},
                {"type": "channel", "channel_id": "C2"},
                {"type": "link", "url": "https://x.example"},
                {"type": "emoji", "name": "wave"},
                {"type": "broadcast", "range": "here"},
                {"type": "date", "timestamp": 0, "format": "{time}"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "ordered",
            "elements": [
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}
            ],
        },
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "quoted"}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "code"}]},
    ],
}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"text": "*x*", "mrkdwn": False}, ["<p>*x*</p>"]),
        ({"image_url": "https://x.example/a.png"}, ['<a href="https://x.example/a.png">Picture']),
        (
            {"blocks": [{"type": "header", "text": {"text": "Hi"}}], "text": "other"},
            ["<h3>Hi</h3>"],
        ),
        (
            {
                "blocks": [
                    {
                        "type": "section",
                        "text": {"type": "mrkdwn", "text": "*a*"},
                        "fields": [{"type": "plain_text", "text": "*b*"}],
                        "accessory": {
                            "type": "button",
                            "action_id": "x",
                            "text": {"type": "plain_text", "text": "Go"},
                            "url": "https://x.example",
                        },
                    }
                ]
            },
            ["<strong>a</strong>", "<p>*b*</p>", '<a href="https://x.example">Go</a>'],
        ),
        ({"blocks": [{"type": "divider"}, {"type": "video"}]}, ["<hr>", "“video”"]),
        (
            {"blocks": [RICH]},
            [
                "<strong>bold</strong>",
                "@Ann &lt;Archer&gt;",
                "#private-channel",
                ":wave:",
                "@here",
                "02:00",
                "<ol><li>one</li></ol>",
                "<blockquote>quoted</blockquote>",
                "<pre><code>code</code></pre>",
            ],
        ),
        (
            {
                "attachments": [
                    {
                        "title": "Build",
                        "title_link": "https://ci.example",
                        "text": "_red_",
                        "fields": [{"title": "Branch", "value": "main"}],
                        "footer": "CI",
                    },
                    {"fallback": "fallback alone"},
                ]
            },
            [
                '<h3><a href="https://ci.example">Build</a></h3>',
                "<em>red</em>",
                "<dt>Branch</dt>",
                "CI",
                "fallback alone",
            ],
        ),
    ],
)
def test_the_whole_content_is_shown(content: dict[str, Any], shown: list[str]) -> None:
    html = content_html(content, READER)
    for words in shown:
        assert words in html


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "elements", "fields", "url", "title", "style", "blocks"]
            ),
            inner
            | st.sampled_from(["section", "context", "actions", "rich_text", "image", "header"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
OBJECTS = st.lists(
    st.dictionaries(st.sampled_from(["type", "text", "elements"]), _JSON), max_size=4
)


@given(OBJECTS, OBJECTS)
def test_any_content_of_a_sender_can_be_shown(blocks: Any, attachments: Any) -> None:
    html = content_html({"blocks": blocks, "attachments": attachments}, READER)
    assert "<" not in OURS.sub("", str(html))
