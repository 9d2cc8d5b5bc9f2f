"""Markdown and tables as mrkdwn, for clients and fallbacks that show no Markdown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.blockkit.markdown import to_mrkdwn
from bolt_app.blockkit.tables import table_block, table_text

PIECES = st.sampled_from(
    [
        *(
            "*",
            "**",
            "_",
            "~~",
            "`",
            "```\n",
            "# ",
            "- ",
            "1. ",
            "> ",
            "| a | b |\n",
            "|---|---|\n",
        ),
        *("[a](", "https://a.example", ")", "<!channel>", "<@U1>", "&", "\\*", "\n", "---\n", "a"),
    ]
)


@pytest.mark.parametrize(
    ("text", "mrkdwn"),
    [
        ("**bold** __too__ *it* _it_ ~~no~~ `a*b`", "*bold* *too* _it_ _it_ ~no~ `a*b`"),
        ("***both***", "*_both_*"),
        ("**a _b_**", "*a _b_*"),
        ("[label](https://a.example/x_y)", "<https://a.example/x_y|label>"),
        ("![picture](https://a.example/p.png)", "<https://a.example/p.png|picture>"),
        ("[label](<!channel>)", "[label](&lt;!channel&gt;)"),
        ("[x](javascript:alert)", "<javascript:alert|x>"),
        ("# Title **bold**\ntext", "*Title bold*\ntext"),
        ("- a\n* b\n+ c", "• a\n• b\n• c"),
        ("- [ ] open\n- [x] done", "• ☐ open\n• ☑ done"),
        ("3. a\n4. b", "1. a\n2. b"),
        ("> q\n> r", "> q\n> r"),
        ("```python\n*a* <b>\n```\nafter", "```\n*a* &lt;b&gt;\n```\nafter"),
        ("```\nnever closed", "```\nnever closed\n```"),
        ("a\n\nb", "a\nb"),
        ("---", "———"),
        ("<@U1> & <!channel>", "&lt;@U1&gt; &amp; &lt;!channel&gt;"),
        (r"\*plain\* \# x", "*plain* # x"),
        ("snake_case_name 2*3", "snake_case_name 2*3"),
        ("| a | b |\n|---|:-:|\n| **1** | 2 |", "```\na | b\n1 | 2\n```"),
    ],
)
def test_markdown_as_mrkdwn(text: str, mrkdwn: str) -> None:
    assert to_mrkdwn(text) == mrkdwn


@given(st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join))
def test_markdown_mentions_nobody(text: str) -> None:
    found = to_mrkdwn(text)

    assert not re.search(r"<[@!#]", found)


def test_a_table_is_aligned_and_escaped() -> None:
    rows = [["Host", "Free"], ["db1", "1 %"], ["<b>`x`"]]

    assert table_text(rows) == "```\nHost   | Free\ndb1    | 1 %\n&lt;b&gt;'x' |\n```"


def test_a_table_block_has_rows_of_one_length_and_no_empty_cell() -> None:
    block = table_block([["a", "b"], ["", ""], ["c"]])

    texts = [[cell["text"] for cell in row] for row in block["rows"]]
    assert texts == [["a", "b"], [" ", " "], ["c", " "]]
