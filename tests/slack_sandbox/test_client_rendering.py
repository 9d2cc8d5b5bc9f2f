"""Messages as HTML: appearance, and safe rendering of untrusted content."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_sandbox.client.render import Reader, blocks_tag, message_body
from slack_sandbox.client.render.mrkdwn import mrkdwn

READER = Reader(
    user_id="U1",
    team_id="T1",
    now=datetime(2026, 11, 24, 12, tzinfo=UTC),
    zone=ZoneInfo("Europe/Helsinki"),
    has_long_day=True,
    people={"U1": "Ann", "U2": "Ben <b>"},
    pickable_people=("U1", "U2"),
    channels={"C1": "general"},
    picture_hosts=frozenset({"slack.test"}),
)
TAGS = frozenset(
    str.split(
        "a blockquote br button code del details div em fieldset figcaption figure h3 h4 h5 h6 hr "
        "img input label li ol option optgroup p pre rect select small span strong summary svg "
        "table td textarea th time tr u ul"
    )
)
ATTRIBUTES = frozenset(
    str.split(
        "alt aria-hidden aria-label checked class data-action-id data-asks data-block-id "
        "data-focus data-reads data-sends data-value datetime fill height href loading max "
        "maxlength min minlength name placeholder rel role rows selected src start step target "
        "title type value width"
    )
)
ADDRESS = re.compile(r"https?://|mailto:|tel:|/client/")


class Guard(HTMLParser):
    """Rejects every tag, attribute and URL that is not expected in a message."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name in ("href", "src"):
                assert ADDRESS.match(value or ""), value
            if name == "type":
                assert value not in ("submit", "image"), value


def body(text: str = "", **parts: Any) -> str:
    return str(message_body({"text": text, **parts}, READER))


def block(kind: str, **fields: Any) -> str:
    return body(blocks=[{"type": kind, "block_id": "b", **fields}])


def element(kind: str, **fields: Any) -> str:
    return block("actions", elements=[{"type": kind, "action_id": "a", **fields}])


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def option(text: str, value: str) -> dict[str, Any]:
    return {"text": plain(text), "value": value}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*bold* _it_ ~gone~", "<strong>bold</strong> <em>it</em> <del>gone</del>"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("a_b_c", "a_b_c"),
        ("`a *b* c`", "<code>a *b* c</code>"),
        ("```\nx &lt; y\n```", "<pre><code>x &lt; y</code></pre>"),
        ("&gt; quoted\nnot", "<blockquote>quoted</blockquote>not"),
        ("one\ntwo", "one<br>two"),
        ("&lt;b&gt; &amp;amp;", "&lt;b&gt; &amp;amp;"),
        ("<@U2>", 'href="/client/T1/U2?as=U1">@Ben &lt;b&gt;</a>'),
        ("<@U9>", '<span class="mention">@U9</span>'),
        ("<#C1>", "#general</a>"),
        ("<#C9|secret>", '<span class="mention">#secret</span>'),
        ("<!here>", '<span class="mention">@here</span>'),
        (":tada:", "🎉"),
        (":no_such_emoji:", ":no_such_emoji:"),
        ("<https://a.test|*A*>", ">*A*</a>"),
        ("see https://a.test/x.", 'href="https://a.test/x"'),
        ("<https://a.test/it's|x>", 'href="https://a.test/it&#39;s"'),
        ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
        ("<mailto:a@b.test|mail>", 'href="mailto:a@b.test"'),
    ],
)
def test_mrkdwn(text: str, shown: str) -> None:
    assert shown in str(mrkdwn(text, READER))


def test_plain_text_renders_emoji_by_default() -> None:
    assert "🎉" in block("header", text=plain(":tada:"))
    assert ":tada:" in block("header", text={**plain(":tada:"), "emoji": False})


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{date_num} {time}", "2026-11-24 14:00"),
        ("{date_pretty}", "Today"),
        ("{date_short}", "Nov 24, 2026"),
        ("{date_long}", "Tuesday, November 24th, 2026"),
        ("{ago}", "Just now"),
        ("at {time_secs}", "at 14:00:00"),
        ("{nonsense}", "fallback"),
    ],
)
def test_dates_use_the_readers_time_zone(template: str, shown: str) -> None:
    moment = int(READER.now.timestamp())

    assert shown in str(mrkdwn(f"<!date^{moment}^{template}|fallback>", READER))


def test_an_impossible_date_shows_its_fallback() -> None:
    assert "fallback" in str(mrkdwn("<!date^99999999999999^{date}|fallback>", READER))


def test_pictures_of_other_hosts_are_only_linked() -> None:
    near = block("image", image_url="http://slack.test/a.png", alt_text="near")
    far = block("image", image_url="https://far.test/a.png", alt_text="far")

    assert '<img class="large-image" src="http://slack.test/a.png" alt="near"' in near
    assert "<img" not in far
    assert "not fetched from far.test" in far


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (block("header", text=plain("Title")), '<h3 class="block header">Title</h3>'),
        (block("divider"), "<hr>"),
        (block("section", text=plain("<b>")), "&lt;b&gt;"),
        (block("section", fields=[plain("one"), plain("two")]), '<div class="fields">'),
        (block("context", elements=[plain("small")]), '<span class="text">small</span>'),
        (block("markdown", text="# Big\n\n- a\n- b"), "<h3>Big</h3>"),
        (block("markdown", text="- a\n- b"), "<ul><li>a</li><li>b</li></ul>"),
        (block("markdown", text="[x](javascript:alert)"), "x"),
        (block("alert", level="error", text=plain("bad")), 'class="block alert error"'),
        (block("table", rows=[[{"type": "raw_text", "text": "h"}]]), "<th>h</th>"),
        (block("brand_new"), "A block of type brand_new"),
        (
            block(
                "rich_text",
                elements=[
                    {
                        "type": "rich_text_list",
                        "style": "ordered",
                        "elements": [
                            {
                                "type": "rich_text_section",
                                "elements": [
                                    {"type": "text", "text": "x", "style": {"bold": True}}
                                ],
                            }
                        ],
                    }
                ],
            ),
            '<ol class="indent-0"><li><strong>x</strong></li></ol>',
        ),
    ],
)
def test_blocks(shown: str, expected: str) -> None:
    assert expected in shown
    Guard().feed(shown)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (element("button", text=plain("Go"), value="1", style="danger"), 'class="button danger"'),
        (element("button", text=plain("Open"), url="https://a.test"), 'href="https://a.test"'),
        (element("button", text=plain("Open"), url="javascript:x"), "<button"),
        (element("static_select", options=[option("One", "1")]), '<option value="1">One</option>'),
        (element("users_select", initial_user="U2"), '<option value="U2" selected>'),
        (element("channels_select"), '<option value="C1">#general</option>'),
        (element("checkboxes", options=[option("One", "1")]), 'type="checkbox"'),
        (element("radio_buttons", options=[option("One", "1")]), 'type="radio"'),
        (element("overflow", options=[option("One", "1")]), 'data-value="1"'),
        (element("datepicker", initial_date="2026-11-24"), 'type="date" value="2026-11-24"'),
        (element("timepicker", initial_time="09:00"), 'type="time" value="09:00"'),
        (element("datetimepicker", initial_date_time=0), 'value="1970-01-01T02:00"'),
        (element("multi_static_select", options=[option("One", "1")]), 'data-reads="many"'),
        (element("hologram"), "No picture of hologram here"),
    ],
)
def test_elements(shown: str, expected: str) -> None:
    assert expected in shown
    Guard().feed(shown)


def test_an_input_shows_its_label_hint_and_error() -> None:
    question = {
        "type": "input",
        "block_id": "b",
        "label": plain("Name"),
        "hint": plain("As on the door"),
        "optional": True,
        "element": {"type": "plain_text_input", "action_id": "a", "max_length": 9},
    }
    shown = str(blocks_tag([question], READER, {"b": "Too short"}))

    for expected in ("Name", "(optional)", "As on the door", "Too short", 'maxlength="9"'):
        assert expected in shown
    assert "data-sends" not in shown


def test_a_legacy_attachment() -> None:
    shown = body(
        attachments=[
            {
                "color": "danger",
                "title": "Disk",
                "title_link": "https://a.test",
                "text": "*full*",
                "fields": [{"title": "Host", "value": "db1", "short": True}],
                "footer": "Alerts",
                "ts": int(READER.now.timestamp()),
            }
        ]
    )

    for expected in ('fill="#e01e5a"', "Disk", "<strong>full</strong>", "db1", "Today at 14:00"):
        assert expected in shown
    Guard().feed(shown)


# Parts of attacks and of markup, mixed with other characters.
SCRAPS = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='x",
        "<javascript:alert(1)|x>",
        '<https://a.test/"onclick=x|y>',
        "<https://a.test|<b>>",
        "javascript:alert(1)",
        "data:text/html,x",
        "<@U1>",
        "<#C1|x>",
        "<!date^1^{date}^javascript:x|y>",
        "<!date^9e99^{ago}|y>",
        "*_~`",
        "```",
        "&lt;script&gt;",
        ":tada:",
        "\ue0000\ue001",
        "http://[",
    ]
)
TEXT = st.lists(SCRAPS | st.text(max_size=12), max_size=5).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TEXT_OBJECT = st.fixed_dictionaries(
    {"type": st.sampled_from(["plain_text", "mrkdwn"]), "text": TEXT}
)
OPTIONS = st.lists(
    st.fixed_dictionaries({"text": TEXT_OBJECT, "value": TEXT}, optional={"url": TEXT}), max_size=2
)
ELEMENT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            str.split(
                "button overflow static_select users_select multi_users_select checkboxes "
                "radio_buttons datepicker datetimepicker plain_text_input number_input image "
                "rich_text_section rich_text_list text link emoji user channel color date x"
            )
        )
    },
    optional={
        "action_id": TEXT,
        "text": TEXT_OBJECT | TEXT,
        "url": TEXT,
        "value": TEXT,
        "style": JSON,
        "options": OPTIONS,
        "placeholder": TEXT_OBJECT,
        "initial_date_time": JSON,
        "initial_value": TEXT,
        "max_length": JSON,
        "image_url": TEXT,
        "alt_text": TEXT,
        "name": TEXT,
        "unicode": TEXT,
        "user_id": TEXT,
        "timestamp": JSON,
        "format": TEXT,
        "elements": st.lists(JSON, max_size=2),
        "confirm": JSON,
    },
)
BLOCK = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            str.split(
                "section header context actions image input rich_text markdown alert table card "
                "carousel divider x"
            )
        )
    },
    optional={
        "block_id": TEXT,
        "text": TEXT_OBJECT | TEXT,
        "fields": st.lists(TEXT_OBJECT, max_size=2),
        "elements": st.lists(ELEMENT, max_size=3),
        "accessory": ELEMENT,
        "element": ELEMENT,
        "label": TEXT_OBJECT,
        "title": TEXT_OBJECT,
        "image_url": TEXT,
        "rows": JSON,
        "level": JSON,
    },
)
ATTACHMENT = st.dictionaries(
    st.sampled_from(
        str.split(
            "color title title_link text pretext fallback author_name author_link author_icon "
            "fields image_url thumb_url footer ts mrkdwn_in blocks"
        )
    ),
    JSON,
)


@given(
    text=TEXT,
    blocks=st.lists(BLOCK | JSON, max_size=3),
    attachments=st.lists(ATTACHMENT | JSON, max_size=2),
)
def test_any_message_renders_safely(text: str, blocks: list[Any], attachments: list[Any]) -> None:
    Guard().feed(body(text, blocks=blocks, attachments=attachments))
