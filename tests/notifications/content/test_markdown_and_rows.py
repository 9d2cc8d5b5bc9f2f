"""Markdown and tables of notifications: accepted, shown by Slack or as a fallback, and on pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.content.fallbacks import renderings
from bolt_app.notifications.content.message import mention, render, spoken
from bolt_app.notifications.content.summaries import headline
from bolt_app.web.html.content_html import content_html
from bolt_app.web.html.markdown_html import markdown_html
from bolt_app.web.html.mrkdwn_html import Reader
from slack_sandbox import Fault
from slack_sandbox.messages import checked_content
from tests.blockkit.test_markdown import PIECES
from tests.commands import run
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.calling import caller
from tests.web.test_content_html import OURS

TEXT = "# Backups\n**2 of 3** are [complete](https://a.example)\n- db1\n- db2"
ROWS = [["Host", "Size"], ["db1", "4 GB"], ["db<2>", ""]]
CONTENT: dict[str, Any] = {"title": "Backups", "format": "markdown", "text": TEXT, "rows": ROWS}
READER = Reader({}, {}, lambda at: at)


def blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    attached = [block for one in message.get("attachments", ()) for block in one["blocks"]]
    return [*message.get("blocks", ()), *attached]


def check(message: dict[str, Any]) -> None:
    checked_content(message.get("text"), message.get("blocks"), message.get("attachments"))


class TestRendering:
    @pytest.mark.parametrize("severity", [None, "error"])
    def test_slack_gets_its_blocks(self, severity: str | None) -> None:
        content = CONTENT if severity is None else {**CONTENT, "severity": severity}
        message = render(content)

        check(message)
        assert message["blocks"][1] == {"type": "markdown", "text": TEXT}
        [table] = [block for block in blocks_of(message) if block["type"] == "table"]
        assert [cell["text"] for cell in table["rows"][2]] == ["db<2>", " "]
        assert ("color" in message["attachments"][0]) is (severity is not None)

    def test_the_text_for_phones_and_screen_readers_is_mrkdwn(self) -> None:
        text = spoken({**CONTENT, "severity": "error"})

        assert "*2 of 3* are <https://a.example|complete>" in text
        assert "db&lt;2&gt;" in text
        assert "**" not in text

    def test_the_first_fallback_has_the_same_words(self) -> None:
        first, second, *_ = renderings(CONTENT)

        check(second)
        kinds = {block["type"] for block in blocks_of(second)}
        assert "markdown" in {block["type"] for block in blocks_of(first)}
        assert kinds == {"section"}
        assert "*2 of 3*" in json.dumps(second["blocks"])
        assert "Host" in json.dumps(second["blocks"])

    def test_mentions_are_beside_the_markdown(self) -> None:
        message = render(mention(CONTENT, ["U1"]))

        check(message)
        assert message["blocks"][1]["text"] == TEXT
        assert message["blocks"][2]["text"] == {"type": "mrkdwn", "text": "<@U1>"}
        assert message["text"].count("<@U1>") == 1

    @given(
        st.lists(PIECES | st.text(max_size=3), max_size=60).map("".join),
        st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=20), max_size=20),
        st.sampled_from([None, "error"]),
    )
    def test_slack_accepts_every_rendering(
        self, text: str, rows: list[list[str]], severity: str | None
    ) -> None:
        content: dict[str, Any] = {"title": "x", "format": "markdown", "text": text, "rows": rows}
        if not rows:
            del content["rows"]
        if severity is not None:
            content["severity"] = severity

        for message in renderings(content):
            check(message)

    @pytest.mark.parametrize(
        "content",
        [
            {"format": "markdown", "text": "x" * 12_000, "title": "t" * 250, "severity": "error"},
            {"rows": [["x" * 5] * 20] * 100, "text": "y" * 40_000},
            {"rows": [["x" * 5] * 20] * 100, "title": "t"},
            {"rows": [["x"]]},
            {"rows": [["x"]], "format": "markdown"},
            {"rows": [["x"]], "format": "markdown", "severity": "info"},
            {"text": "x", "format": "markdown", "fields": [{"name": "a", "value": "b"}]},
        ],
    )
    def test_the_largest_and_the_smallest(self, content: dict[str, Any]) -> None:
        for message in renderings(content):
            check(message)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("\n# Big **news**\nmore", "Big news"),
            ("- [a](https://a.example)", "a"),
            ("", "A n"),
        ],
    )
    def test_the_headline_is_the_first_line(self, text: str, line: str) -> None:
        assert headline({"format": "markdown", "text": text}).startswith(line)


@pytest.mark.sqlite_only
class TestAccepting:
    @pytest.mark.parametrize(
        ("changed", "field", "detail"),
        [
            ({"text": "x" * 12_001}, "text", "12,000"),
            ({"format": "html"}, "format", "must be"),
            ({"mrkdwn": False}, "format", "mrkdwn false"),
            ({"blocks": [{"type": "divider"}]}, "format", "blocks"),
            ({"rows": [["a"] * 21]}, "rows[0]", "20"),
            ({"rows": [["a"]] * 101}, "rows", "100"),
            ({"rows": [[]]}, "rows[0]", "at least one"),
            ({"rows": [[None]]}, "rows[0][0]", "must be text"),
            ({"rows": [[True]]}, "rows[0][0]", "must be text"),
            ({"rows": [["a\0"]]}, "rows[0][0]", "NUL"),
            ({"rows": [["x" * 101] * 20] * 5}, "rows", "10,000"),
            ({"rows": "a"}, "rows", "must be a list"),
            ({"title": "", "text": ""}, "text", "is empty"),
            ({"rows": [["a"]], "format": "mrkdwn", "blocks": [{"type": "x"}]}, "rows", "blocks"),
        ],
    )
    def test_what_slack_would_reject_is_invalid(
        self, bellhop: Bellhop, changed: dict[str, Any], field: str, detail: str
    ) -> None:
        answer = caller(bellhop).send({**CONTENT, "to": "#ops", **changed})

        assert answer.status == 422, answer.text
        errors = {one["field"]: one["detail"] for one in answer.json()["errors"]}
        assert detail in errors[field]

    def test_numbers_are_cells(self, bellhop: Bellhop) -> None:
        ci = caller(bellhop)
        sent = ci.send({"to": "#ops", "title": "T", "rows": [["a", 1, 1200.5]]})

        found = ci.get(f"/api/v1/notifications/{sent.json()['id']}").json()

        assert found["content"] == {"title": "T", "rows": [["a", "1", "1,200.5"]]}

    def test_the_command_sends_markdown(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        sent = run(
            bellhop, "send", "--team", ACME, "--to", GENERAL, "--format", "markdown", "**a**"
        )
        Hand(bellhop).deliver()

        assert sent.exit_code == 0, sent.output
        [message] = bellhop.slack.messages(GENERAL)
        assert message.blocks[0]["text"] == "**a**"


@pytest.mark.sqlite_only
class TestDelivery:
    def test_it_is_posted(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        accept(bellhop, GENERAL, **CONTENT)

        Hand(bellhop).deliver()

        [message] = bellhop.slack.messages(GENERAL)
        kinds = {block["type"] for block in [*message.blocks, *message.attachments[0]["blocks"]]}
        assert {"markdown", "table"} <= kinds

    @pytest.mark.parametrize("error", ["invalid_blocks", "invalid_attachments"])
    def test_a_rejected_block_is_replaced_by_mrkdwn(self, bellhop: Bellhop, error: str) -> None:
        bellhop.install(ANN)
        bellhop.slack.faults.add(Fault("chat.postMessage", "api_error", error=error, times=1))
        accept(bellhop, GENERAL, severity="error", **CONTENT)

        Hand(bellhop).deliver()

        [message] = bellhop.slack.messages(GENERAL)
        shown = json.dumps([message.blocks, message.attachments])
        assert "*2 of 3*" in shown
        assert "```" in shown
        assert '"markdown"' not in shown


class TestPage:
    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("# A **b**", "<h3>A <strong>b</strong></h3>"),
            ("a\nb\n\nc", "<p>a<br>b</p><p>c</p>"),
            ("- a\n- [x] b", "<ul><li>a</li><li>☑ b</li></ul>"),
            ("1. a", "<ol><li>a</li></ol>"),
            ("> q", "<blockquote>q</blockquote>"),
            ("```\n<b>\n```", "<pre><code>&lt;b&gt;</code></pre>"),
            ("---", "<hr>"),
            ("[a](https://a.example)", '<a href="https://a.example">a</a>'),
            ("[a](javascript:x)", "<p>a</p>"),
            ("~~a~~ *b* `c`", "<del>a</del> <em>b</em> <code>c</code>"),
            ("|a|b|\n|-|-|\n|1|<2>|", "<tr><td>1</td><td>&lt;2&gt;</td></tr>"),
        ],
    )
    def test_markdown_as_html(self, text: str, html: str) -> None:
        assert html in markdown_html(text)

    def test_text_and_table_of_a_notification(self) -> None:
        html = content_html(CONTENT, READER)

        assert "<strong>2 of 3</strong>" in html
        assert "<th>Host</th>" in html
        assert "<td>db&lt;2&gt;</td>" in html

    def test_a_senders_table_block(self) -> None:
        rich = {
            "type": "rich_text",
            "elements": [
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "<b>"}]}
            ],
        }
        rows = [[{"type": "raw_text", "text": "a"}, rich], "x", [None, {"text": 1}]]
        html = content_html({"blocks": [{"type": "table", "rows": rows}]}, READER)

        assert "<th>a</th><th><p>&lt;b&gt;</p></th>" in html

    @given(st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join))
    def test_no_markdown_becomes_other_markup_than_ours(self, text: str) -> None:
        tables = ("<table>", "</table>", "<tr>", "</tr>", "<th>", "</th>", "<td>", "</td>")
        html = str(markdown_html(text)).replace('<div class="wide">', "")
        for tag in tables:
            html = html.replace(tag, "")
        left = OURS.sub("", html)
        assert "<" not in left
        assert ">" not in left
