"""Rendering of notifications in Slack, which must accept every rendering."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bolt_app.blockkit.mrkdwn import SECTION_LENGTH, escape, shorten, split
from bolt_app.notifications.content.message import TEXT_SIZE, render
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.severity import COLOURS, SIGNS
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.texts import text_object
from slack_sandbox.messages import checked_content

Json = dict[str, Any]
READER = Reader("U0ANN00001", "T0ACME0001", datetime(2026, 1, 1, tzinfo=UTC))

# Text with mrkdwn's markup in it.
CHARACTERS = st.sampled_from("ab1 \n*_~`<>&|:@#!-;é漢🔔") | st.characters(exclude_categories=["Cs"])
WORDS = st.text(CHARACTERS, max_size=40)
PIECES = WORDS | st.sampled_from(
    ["<https://example.com/a?b=1&amp;c=2|a label>", "<@U0ANN00001>", "&lt;", "```", "@here", ":x:"]
)
LONG = st.builds(lambda piece, times: (piece * times)[:40_000], PIECES, st.integers(1, 4000))
TEXTS = st.one_of(WORDS, st.lists(PIECES, max_size=8).map("".join), LONG)
URLS = st.builds(
    lambda rest: f"https://example.com/{rest}"[:300],
    st.text(CHARACTERS.filter(lambda one: not one.isspace()), max_size=60)
    | st.integers(1, 280).map(lambda times: "&lt;" * times),
)
FIELDS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(CHARACTERS, min_size=1, max_size=200),
            "value": st.text(CHARACTERS, max_size=1500) | st.integers(1, 1500).map("&".__mul__),
        }
    ),
    max_size=50,
)
OWN_BLOCKS = st.lists(
    st.sampled_from(
        [
            {"type": "divider"},
            {"type": "header", "text": {"type": "plain_text", "text": "A <header>"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*a section*"}},
            {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"},
        ]
    ),
    max_size=50,
)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS,
        "title": st.text(CHARACTERS, max_size=250) | st.just("&" * 250),
        "severity": st.sampled_from([*COLOURS]),
        "fields": FIELDS,
        "link": URLS,
        "image_url": URLS,
        "blocks": OWN_BLOCKS,
        "attachments": st.lists(st.just({"color": "good", "text": "legacy"}), max_size=20),
        "unfurl_links": st.booleans(),
    },
)


def valid(content: Json) -> Json:
    """Return `content` as it is stored; skip the example if it is invalid."""
    try:
        return NotificationRequest.model_validate({"to": "#general", **content}).content()
    except ValueError:
        assume(False)
        raise


def blocks_of(message: Json) -> list[Json]:
    """Return every block of a message, from top to bottom."""
    attached = [block for one in message.get("attachments", []) for block in one.get("blocks", [])]
    return [*message.get("blocks", []), *attached]


def text_objects(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from text_objects(item)
    elif isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield value
        else:
            yield from text_objects(list(value.values()))


def texts_of(message: Json) -> str:
    """Return all texts of a message, as written."""
    text = "" if message.get("blocks") else message["text"]
    return "\n".join([text, *(one["text"] for one in text_objects(blocks_of(message)))])


def read(shown: Json) -> str:
    """Return a text object as people read it."""
    html = text_object(shown, READER).replace("<br>", "\n")
    return unescape(re.sub(r"<[^>]*>", "", html))


def squeezed(text: str) -> str:
    return re.sub(r"[\s`]", "", text)


class TestAnyContent:
    @given(CONTENTS, st.booleans(), st.booleans())
    @example({"title": "x", "fields": [{"name": "n", "value": "<" * 1500}] * 50}, True, True)
    @example({"text": "x" * 40_000, "title": "&" * 250, "severity": "info"}, True, True)
    @example({"text": " ", "attachments": [{"text": "x"}]}, True, True)
    def test_slack_accepts_it(self, content: Json, with_picture: bool, is_mrkdwn: bool) -> None:
        content = valid(content) | ({} if is_mrkdwn else {"mrkdwn": False})

        message = render(content, with_picture=with_picture)

        checked = checked_content(
            message["text"], message.get("blocks"), message.get("attachments")
        )
        assert checked.warnings == []
        assert message["text"].strip() or content["attachments"]

    @given(CONTENTS)
    def test_nothing_of_the_text_is_lost(self, content: Json) -> None:
        content = valid(content)
        assume("blocks" not in content)

        assert squeezed(content.get("text", "")) in squeezed(texts_of(render(content)))

    @given(CONTENTS)
    def test_updatable_messages_are_short_enough(self, content: Json) -> None:
        content = valid(content)
        message = render(content)
        if message.get("blocks"):
            assert len(message["text"].encode()) <= TEXT_SIZE

    @given(CONTENTS)
    def test_the_senders_attachments_stay_as_they_are(self, content: Json) -> None:
        content = valid(content)
        own = content.get("attachments", [])
        assert render(content).get("attachments", [])[-len(own) :] == own or not own


class TestPlainText:
    @given(st.text(CHARACTERS, min_size=1, max_size=250))
    @example("*.a.com :x: @here")
    def test_a_title_reads_as_it_is_written(self, title: str) -> None:
        title = " ".join(title.split())
        assume(title and "\ue000" not in title and "\ue001" not in title)
        [block] = render({"title": title})["blocks"]
        assert read(block["text"]) == title

    @given(st.text(CHARACTERS, min_size=1, max_size=250), URLS)
    @example("`code` *bold* | &lt;", "https://example.com/|")
    def test_so_does_the_title_that_is_a_link(self, title: str, url: str) -> None:
        title = " ".join(title.split())
        assume(title and "\ue000" not in title and "\ue001" not in title)
        message = render(valid({"title": title, "link": url}))
        assert read(message["blocks"][0]["text"]) == title

    @given(FIELDS.filter(bool))
    def test_so_do_fields(self, fields: list[Json]) -> None:
        content = valid({"title": "t", "fields": fields})
        assume(not re.search("[\ue000\ue001\r]", str(content)))
        objects = [one for block in blocks_of(render(content))[1:] for one in block["fields"]]
        for shown, field in zip(objects, content["fields"], strict=True):
            words = f"{field['name']}\n{field['value']}".split()
            assert read(shown).split() == (words or ["-"])

    @given(st.text(CHARACTERS))
    def test_escaped_it_is_only_text(self, text: str) -> None:
        assert not re.search(r"[<>]|&(?!(?:amp|lt|gt);)", escape(text))
        assert unescape(escape(text)) == unescape(text) or escape(text) != text


class TestSplitting:
    @given(TEXTS.filter(lambda text: "```" not in text), st.integers(60, SECTION_LENGTH))
    def test_the_pieces_together_are_the_text(self, text: str, length: int) -> None:
        pieces = split(text, length)
        assert "".join(pieces) == text
        assert all(len(piece) <= length for piece in pieces)

    @given(TEXTS, st.integers(60, SECTION_LENGTH))
    def test_pieces_are_short_enough_with_code_too(self, text: str, length: int) -> None:
        assert all(len(piece) <= length for piece in split(text, length))

    @given(
        st.lists(
            st.sampled_from(
                ["<https://example.com|two words>", "<@U0ANN00001>", "&amp;", "x", " "]
            ),
            max_size=60,
        ),
        st.integers(40, 80),
    )
    def test_links_mentions_and_entities_stay_whole(self, parts: list[str], length: int) -> None:
        for piece in split("".join(parts), length):
            assert re.fullmatch(r"(?:<[^<>]*>|&amp;|[x ])*", piece)

    def test_lines_stay_whole(self) -> None:
        lines = [f"line {number}\n" for number in range(200)]
        assert all(piece.endswith("\n") for piece in split("".join(lines), 100)[:-1])

    def test_code_is_closed_and_opened_again(self) -> None:
        code = "\n".join(f"code {number}" for number in range(40))
        pieces = split(f"before\n```\n{code}\n```\nafter", 150)
        assert len(pieces) > 2
        assert all(piece.count("```") == 2 for piece in pieces)
        inside = [line for piece in pieces for line in piece.split("\n") if "code" in line]
        assert "\n".join(inside) == code

    def test_a_fence_alone_opens_no_code(self) -> None:
        pieces = split("``` is a fence, " + "word " * 100, 100)
        assert sum(piece.count("```") for piece in pieces) == 1

    @given(TEXTS, st.integers(10, 300))
    def test_a_shortened_text_is_short_and_says_so(self, text: str, size: int) -> None:
        short = shorten(text, size)
        assert len(short.encode()) <= size
        assert short == text or (short.endswith("…") and text.startswith(short[:-1]))

    def test_shortening_leaves_links_whole(self) -> None:
        assert shorten("one <https://example.com|two three> four", 20) == "one…"


FULL: Json = {
    "title": "Disk is full",
    "text": "`/var` is at *97 %*.",
    "fields": [{"name": "Host", "value": "db-3"}, {"name": "Since", "value": "12:30:45"}],
    "link": "https://example.com/alerts/7",
    "image_url": "https://example.com/disk.png",
}


def luminance(colour: str) -> float:
    """https://www.w3.org/WAI/GL/wiki/Relative_luminance"""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestSeverities:
    @pytest.mark.parametrize("severity", COLOURS)
    def test_colour_sign_and_word(self, severity: str) -> None:
        message = render({**FULL, "severity": severity})
        [heading] = message["blocks"]
        [bar] = message["attachments"]
        sign = SIGNS[severity]
        assert heading["text"]["text"] == f"{sign} *<https://example.com/alerts/7|Disk is full>*"
        assert bar["color"] == COLOURS[severity]
        assert message["text"].startswith(f"{sign} {severity.capitalize()}: Disk is full\n")
        assert bar["fallback"] == message["text"]

    def test_the_parts_beside_the_colour(self) -> None:
        [bar] = render({**FULL, "severity": "error"})["attachments"]
        assert bar["blocks"] == [
            {"type": "section", "text": {"type": "mrkdwn", "text": "`/var` is at *97 %*."}},
            {
                "type": "section",
                "fields": [
                    {"type": "mrkdwn", "text": "*Host*\ndb-3"},
                    {"type": "mrkdwn", "text": "*Since*\n12:30:45"},
                ],
            },
            {
                "type": "image",
                "image_url": "https://example.com/disk.png",
                "alt_text": "Disk is full",
            },
        ]

    @pytest.mark.parametrize("mention", ["<@U0ANN00001>", "<!here>", "<!subteam^S1|@ops>"])
    def test_a_text_with_a_mention_is_above_the_bar(self, mention: str) -> None:
        message = render({"text": f"{mention} look", "severity": "error"})
        assert message["blocks"][1]["text"]["text"] == f"{mention} look"
        [bar] = message["attachments"]
        assert [one["type"] for one in bar["blocks"]] == ["context"]

    def test_so_is_one_with_link_names(self) -> None:
        content = {"text": "@ann look", "severity": "error"}
        assert len(render(content)["blocks"]) == 1
        assert len(render({**content, "link_names": True})["blocks"]) == 2

    @pytest.mark.parametrize("colour", COLOURS.values())
    def test_colours_contrast_with_slacks_light_and_dark_themes(self, colour: str) -> None:
        # https://www.w3.org/WAI/WCAG22/Understanding/non-text-contrast
        for background in ("#ffffff", "#1a1d21", "#222529"):
            dark, light = sorted([luminance(colour), luminance(background)])
            assert (light + 0.05) / (dark + 0.05) >= 3

    def test_a_title_alone_has_its_colour_too(self) -> None:
        message = render({"title": "Deployed", "severity": "success"})
        [bar] = message["attachments"]
        assert (bar["color"], texts_of({"text": "", "attachments": [bar]}).strip()) == (
            COLOURS["success"],
            "Success",
        )

    def test_without_a_title_the_word_is_the_heading(self) -> None:
        message = render({"text": "Help", "severity": "warning"})
        assert message["blocks"][0]["text"]["text"] == f"{SIGNS['warning']} *Warning*"
        assert message["text"] == f"{SIGNS['warning']} Warning\nHelp"

    def test_the_senders_blocks_are_beside_the_colour(self) -> None:
        own = [{"type": "divider"}] * 50
        message = render({"blocks": own, "severity": "critical"})
        pages = [one["blocks"] for one in message["attachments"]]
        assert [block for page in pages for block in page] == own
        assert {len(page) for page in pages} == {20, 10}
        assert message["text"] == f"{SIGNS['critical']} Critical"


class TestWithoutSeverity:
    def test_text_alone_is_only_text(self) -> None:
        assert render({"text": "hello *there*"}) == {"text": "hello *there*"}

    def test_the_senders_options_are_passed_on(self) -> None:
        chosen = {"username": "Disk", "icon_emoji": ":floppy_disk:", "unfurl_links": False}
        assert render({"text": "x", **chosen}) == {"text": "x", **chosen}

    def test_everything_is_in_blocks(self) -> None:
        message = render(FULL)
        assert [one["type"] for one in message["blocks"]] == [
            "section",
            "section",
            "section",
            "image",
        ]
        assert "attachments" not in message
        assert message["text"] == (
            "Disk is full\n`/var` is at *97 %*.\nHost: db-3\nSince: 12:30:45"
        )

    def test_attachments_alone_have_no_text_above_them(self) -> None:
        own = [{"fallback": "f", "text": "t"}]
        assert render({"attachments": own}) == {"text": "", "attachments": own}

    def test_without_a_text_the_blocks_supply_it(self) -> None:
        blocks = [
            {"type": "header", "text": {"type": "plain_text", "text": "R&D"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "<!here> *now*"}},
        ]
        assert render({"blocks": blocks}) == {
            "text": "R&amp;D\n<!here> *now*",
            "blocks": blocks,
        }

    def test_blocks_may_have_a_link_above_them(self) -> None:
        message = render({"blocks": [{"type": "divider"}] * 50, "link": "https://example.com/"})
        assert texts_of(message).strip() == "*<https://example.com/>*"
        assert len(blocks_of(message)) == 51


class TestLongTexts:
    def test_it_goes_into_sections_while_it_fits(self) -> None:
        message = render({"text": "word " * 2000})
        assert len(message["blocks"]) == 4
        assert message["text"].endswith("…")

    def test_longer_than_all_blocks_it_is_the_messages_own_text(self) -> None:
        text = "word " * 4000
        message = render({**FULL, "text": text, "severity": "info"})
        assert message["text"].endswith(f"|Disk is full>*\n{text}")
        assert "blocks" not in message
        assert [one["type"] for one in blocks_of(message)] == ["section", "image"]

    def test_the_longest_of_all_leaves_the_heading_to_the_attachment(self) -> None:
        text = "x" * 40_000
        message = render({**FULL, "text": text, "severity": "info"})
        assert message["text"] == text
        assert "Disk is full" in blocks_of(message)[0]["text"]["text"]

    def test_unformatted_text_stays_the_messages_own(self) -> None:
        message = render({"text": "a *b*", "title": "T", "mrkdwn": False})
        assert message == {"text": "T\na *b*", "mrkdwn": False}

    def test_many_long_fields_take_several_attachments(self) -> None:
        fields = [{"name": "n", "value": "v" * 1500}] * 50
        message = render({"title": "T", "severity": "info", "fields": fields})
        assert texts_of(message).count("v" * 1500) == 50
        assert {one["color"] for one in message["attachments"]} == {COLOURS["info"]}


class TestTreacherousText:
    def test_a_title_that_would_be_formatted_is_plain(self) -> None:
        [block] = render({"title": "Use *.example.com and *.example.org"})["blocks"]
        assert block["text"]["type"] == "plain_text"

    @pytest.mark.parametrize("value", ["snake_case_name", "12:30:45", "2 * 3", "a@example.com"])
    def test_harmless_values_keep_the_bold_name(self, value: str) -> None:
        message = render({"title": "T", "fields": [{"name": "N", "value": value}]})
        assert message["blocks"][1]["fields"][0]["type"] == "mrkdwn"

    @pytest.mark.parametrize("value", ["*a* b", "~/a and ~/b~", "> 5", ":tada:", "@here"])
    def test_others_are_plain(self, value: str) -> None:
        message = render({"title": "T", "fields": [{"name": "N", "value": value}]})
        assert message["blocks"][1]["fields"][0]["type"] == "plain_text"

    def test_a_mention_in_plain_text_notifies_nobody(self) -> None:
        assert "<!here>" not in str(render({"title": "<!here>", "severity": "info"}))


def test_a_picture_that_cannot_be_fetched_becomes_a_link() -> None:
    message = render(FULL, with_picture=False)
    assert message["blocks"][-1]["text"]["text"] == "<https://example.com/disk.png|Disk is full>"
