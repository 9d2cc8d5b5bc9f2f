"""Processing time of senders' texts grows linearly with their length.

Of a text that takes noticeable time, one eight times as long may take 24 times as much: linear
work takes eight times, and work that grows with the square of the length 64. Processor time is
measured, so that other processes on the machine do not count.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import product

import pytest

import bolt_app
from bolt_app.blockkit import mrkdwn
from bolt_app.blockkit.broadcasts import without_broadcasts
from bolt_app.blockkit.markdown import to_mrkdwn
from bolt_app.blockkit.tables import table_text
from bolt_app.config import ROOT
from bolt_app.notifications.content.fallbacks import renderings
from bolt_app.notifications.content.meaning import with_meaning
from bolt_app.notifications.content.message import render
from bolt_app.notifications.content.shown import MOST_CHARACTERS, shown_content
from bolt_app.notifications.content.summaries import headline
from bolt_app.slack.subscriptions.parsing import LONGEST, ParseError, parse_notify_command
from bolt_app.text_forms import LONGEST as LONGEST_NAME
from bolt_app.text_forms import comparable, normalized
from bolt_app.web.html.content_html import content_html
from bolt_app.web.html.markdown_html import markdown_html
from bolt_app.web.html.mrkdwn_html import Reader, mrkdwn_html
from slack_sandbox.client.render.markdown import markdown
from slack_sandbox.client.render.mrkdwn import mrkdwn as sandbox_mrkdwn
from slack_sandbox.client.render.reader import Reader as SandboxReader

READER = Reader({}, {}, lambda at: at)
SANDBOX_READER = SandboxReader("U1", "T1", datetime.now(UTC))
PUMPS = (
    *("a", " ", "\n", "\t ", " \n", "\r\n", "1", "-", "_", "*", "~", "`", "<", ">", "|", ":", "#"),
    *("[", "(", "]", "=", ",", '"', "&", "^", ".", "/", "@", "{", "}", "\ud800"),
    *("*a ", "*a* ", "_a ", "*_~", "*<a>", "*`a`", "```a", "```a```", "`a ", "<a", "<@U1> ", ":a"),
    *("> a\n", "> a\nb\n", "a\n", "- a\n", "1. ", "---\n", "[a](", "**a", "http://", "http://a "),
    *(
        "<http://a|",
        "<!a|",
        "<!",
        "@here",
        "<!date^1^{date}|x>",
        "xoxb-",
        "bh_",
        "?code=",
        "a=1,",
        'a="',
        "1h ",
        "from ",
    ),
    *(",'a'", ',"a"', "'a',", "a,a "),
    *("\u0300\u0316", "a\u0316\u0300", "\u00e9", "http://\u0316\u0300"),
)
STARTS = ("", "a", "1", ":", "<", "`", '"', "<http://a", "digest ", "from 1", "@", "a=", "a='a'")
LENGTH = 10_000
NOTICEABLE_SECONDS = 0.04
MOST_SECONDS = 0.3
LIMIT_SECONDS = 6
# Only called with texts of a checked length.
SHORT = {
    "bolt_app.notifications.subscriptions.filters": 500,
    "bolt_app.slack.subscriptions.parsing": LONGEST,
}


def regexes() -> Iterator[tuple[str, str]]:
    for found in pkgutil.walk_packages(bolt_app.__path__, "bolt_app."):
        if found.name.endswith("__main__") or ".migrations" in found.name:
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield found.name, name


@cache
def sources() -> str:
    """Return all modules of the application."""
    return "".join(path.read_text() for path in (ROOT / "bolt_app").rglob("*.py"))


def seconds(work: Callable[[str], object], text: str) -> float:
    # Neither other threads nor objects of other tests count.
    gc.disable()
    try:
        began = time.thread_time()
        work(text)
        return time.thread_time() - began
    finally:
        gc.enable()


def is_linear(work: Callable[[str], object], start: str, pump: str, end: str = "") -> bool:
    def text(length: int) -> str:
        return f"{start}{pump * (length // len(pump))}{end}"

    spent = seconds(work, text(LENGTH))
    if spent < NOTICEABLE_SECONDS:
        return True
    return seconds(work, text(8 * LENGTH)) < 24 * spent


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), list(regexes()))
def test_every_regular_expression(module: str, name: str) -> None:
    regex: re.Pattern[str] = getattr(importlib.import_module(module), name)
    is_searched = re.search(rf"\b{name}\.(?:search|sub|split|find)", sources()) is not None
    use = regex.search if is_searched else regex.fullmatch
    for start, pump in product(STARTS, PUMPS):
        told = f"{regex.pattern!r} on {start!r} + {pump!r} * n"
        # Exponential work would never end with a longer text.
        assert seconds(use, f"{start}{pump * 22}\n!") < MOST_SECONDS, told
        if module in SHORT:
            text = f"{start}{pump * (SHORT[module] // len(pump))}\n!"
            assert seconds(use, text) < MOST_SECONDS, told
        else:
            assert is_linear(use, start, pump, "\n!"), told


WRITERS: dict[str, Callable[[str], object]] = {
    "mrkdwn_html": lambda text: mrkdwn_html(text, READER),
    "is_markup": mrkdwn.is_markup,
    "mentions": mrkdwn.mentions,
    "split": mrkdwn.split,
    "shorten": lambda text: mrkdwn.shorten(text, 4000),
    "link": lambda text: mrkdwn.link(text, text),
    "headline": lambda text: headline({"text": text}),
    "render": lambda text: render({"title": text[:250], "text": text[:40_000], "severity": "info"}),
    "renderings": lambda text: list(
        renderings(
            with_meaning(
                {
                    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
                    "attachments": [{"text": text, "fields": [{"title": text, "value": text}]}],
                }
            )
        )
    ),
    "render blocks": lambda text: render(
        {
            "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
            "attachments": [{"text": text}],
        }
    ),
    # Without the limit of its callers.
    "normalized": lambda text: normalized("NFD", text),
    "comparable": lambda text: comparable(text[:LONGEST_NAME]),
    "a colour": lambda text: with_meaning({"attachments": [{"color": text, "text": text}]}),
    "without_broadcasts": lambda text: without_broadcasts({"text": text}),
    "the stand-in's mrkdwn": lambda text: sandbox_mrkdwn(text, SANDBOX_READER),
    "the stand-in's Markdown": markdown,
    "to_mrkdwn": to_mrkdwn,
    "markdown_html": markdown_html,
    "table_text": lambda text: table_text([[text, "a"], ["b", text]]),
    "render Markdown": lambda text: list(
        renderings({"format": "markdown", "text": text[:12_000], "rows": [[text[:5000]]]})
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_everything_that_writes_texts(name: str) -> None:
    for pump in PUMPS:
        if pump.isprintable() or pump.isspace():
            assert is_linear(WRITERS[name], "", pump), pump


@pytest.mark.slow
@pytest.mark.parametrize("pump", ["*a* ", "a\n", "```a```b"])
def test_a_very_long_text_is_not_copied_with_each_piece(pump: str) -> None:
    text = pump * (300_000 // len(pump))

    assert seconds(lambda text: mrkdwn_html(text, READER), text) < LIMIT_SECONDS


def test_a_table_has_no_cells_but_those_that_are_written() -> None:
    wide_and_long = f"{'|a' * 3000}|\n" + "|\n" * 2900

    assert seconds(to_mrkdwn, wide_and_long) < 0.5


def test_a_page_shows_the_beginning_of_a_long_notification() -> None:
    content = {"text": "a" * 90_000, "attachments": [{"text": "b" * 500_000}, {"text": "c"}]}
    shown, is_cut = shown_content(content)

    assert is_cut
    assert shown["text"] == content["text"]
    assert 0 < len(shown["attachments"][0]["text"]) <= MOST_CHARACTERS - 90_000
    assert len(shown["attachments"]) == 1


def test_many_small_things_are_cut_too() -> None:
    blocks = [{"type": "rich_text", "elements": [{} for _ in range(300_000)]}]
    shown, is_cut = shown_content({"attachments": [{"blocks": blocks}]})

    assert is_cut
    assert len(shown["attachments"][0]["blocks"][0]["elements"]) < MOST_CHARACTERS / 10


def deep(value: object, levels: int) -> object:
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("severity", [None, "error"])
def test_rendering_time_grows_with_neither_blocks_nor_depth_for_each_value(
    severity: str | None,
) -> None:
    def blocks(number: int, levels: int) -> dict[str, object]:
        texts = deep([{"text": ""}] * (7_000 // number), levels)
        content: dict[str, object] = {"blocks": [{"type": "x", "elements": texts}] * number}
        return content if severity is None else content | {"severity": severity}

    def rendered(number: int, levels: int) -> float:
        content = blocks(number, levels)
        return min(seconds(lambda _: render(content), "") for _ in range(3))

    flat = rendered(1, 1)
    assert rendered(50, 1) < 3 * flat
    assert rendered(50, 54) < 4 * flat


def test_only_the_beginning_of_a_long_text_is_examined_to_shorten_it() -> None:
    def shortened(length: int) -> float:
        text = "&lt;a" * (length // 5)
        return min(seconds(lambda text: mrkdwn.shorten(text, 4000), text) for _ in range(3))

    assert shortened(600_000) < 6 * shortened(20_000)


def test_short_text_is_unchanged() -> None:
    content = {"text": "x", "fields": [{"name": "a", "value": ""}], "mrkdwn": False}

    assert shown_content(content) == (content, False)


def test_the_largest_page_is_made_in_time() -> None:
    content = {"attachments": [{"text": "*a* _b_ <@U1>" * 40_000}]}
    began = time.process_time()
    html = content_html(shown_content(content)[0], READER)
    assert time.process_time() - began < LIMIT_SECONDS
    assert len(html) > MOST_CHARACTERS


def test_a_long_command_is_not_parsed() -> None:
    asked = parse_notify_command("quiet 1" + " " * LONGEST + "to 2")

    assert asked == ParseError("A command may have up to 1000 characters.")
