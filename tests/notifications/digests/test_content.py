"""The content of digests, which Slack must accept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.content.message import render
from bolt_app.notifications.content.schema import Content
from bolt_app.notifications.digests.content import Entry, digest_content
from bolt_app.severity import SEVERITIES, SIGNS, Severity
from slack_sandbox.messages import checked_content

INFO = SIGNS["info"]
PAGES = "https://bell.example.com"
NINE = datetime(2026, 7, 1, 9, tzinfo=UTC)


def entries(*given: tuple[str | None, str]) -> list[Entry]:
    """Return entries of these topics and severities, a minute apart."""
    return [
        Entry(str(number), topic, Severity(severity), NINE + timedelta(minutes=number))
        for number, (topic, severity) in enumerate(given)
    ]


def digest(told: Sequence[Entry], **content: Any) -> dict[str, Any]:
    return digest_content(
        told,
        lambda ids: {id_: {"title": f"Number {id_}", **content} for id_ in ids},
        PAGES,
    )


def section_texts(content: dict[str, Any]) -> list[str]:
    return [block["text"]["text"] for block in content["blocks"] if block["type"] == "section"]


def test_it_is_grouped_by_topic_the_worst_first() -> None:
    told = entries(("builds", "info"), ("deploys", "error"), ("deploys", "info"), (None, "info"))

    content = digest(told, link="https://ci.example.com/?a=1&b=2")

    assert content["title"] == "Digest: 4 notifications"
    assert digest(told[:1])["title"] == "Digest: 1 notification"
    deploys, to_you, builds = section_texts(content)
    assert deploys.startswith(
        f"*deploys*  ❌ 1  {INFO} 1\n❌ <https://ci.example.com/?a=1&b=2|Number 1>"
    )
    assert "Number 2" in deploys
    assert to_you.startswith(f"*Sent to you*  {INFO} 1\n")
    assert builds.startswith(f"*builds*  {INFO} 1\n")
    assert content["text"].splitlines()[0] == f"deploys  ❌ 1  {INFO} 1"
    assert "Held since <!date^" in json.dumps(content["blocks"][-1])


def test_without_a_link_it_links_to_its_page() -> None:
    text = section_texts(digest(entries(("a", "info"), ("a", "info"))))[0]
    long = section_texts(digest(entries(("a", "info")), link="https://x.example/" + "a" * 300))[0]

    assert f"<{PAGES}/notifications/1|Number 1>" in text
    assert f"<{PAGES}/notifications/0|Number 0>" in long


def test_the_latest_of_one_severity_comes_first() -> None:
    [text] = section_texts(digest(entries(*[("a", "info")] * 3)))

    assert [line.split("Number ")[1][0] for line in text.splitlines()[1:]] == ["2", "1", "0"]


def test_it_says_how_many_more_there_are() -> None:
    many = entries(*[(f"topic-{number:02}", "info") for number in range(14)] * 12)

    content = digest(many)

    texts = section_texts(content)
    assert len(texts) == 10
    for text in texts:
        named, left = text.count("Number"), int(text.rpartition("… and ")[2].split()[0])
        assert named >= 4
        assert named + left == 12
    assert "… and 48 more about 4 other topics" in json.dumps(content, ensure_ascii=False)


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=500)
topics = st.none() | st.text("ab/", min_size=1, max_size=80)
contents = st.fixed_dictionaries(
    {},
    optional={
        "title": words.map(lambda title: title[:250]) | st.just("<&>" * 80),
        "text": words,
        "link": st.just("https://x.example/" + "a&b|" * 60) | st.just("https://x.example/a"),
    },
)


@given(
    st.lists(st.tuples(topics, st.sampled_from(SEVERITIES)), min_size=2, max_size=200),
    contents,
)
def test_slack_accepts_it(given: list[tuple[str | None, str]], said: dict[str, str]) -> None:
    content = digest_content(entries(*given), lambda ids: dict.fromkeys(ids, said), PAGES)

    Content.model_validate(content)
    message = render(content)
    assert checked_content(message["text"], message["blocks"], None).warnings == []
    shown = "\n".join(section_texts(content))
    assert len(shown) < 9500
