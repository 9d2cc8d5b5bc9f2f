"""Fallbacks: a layout that Slack rejects costs the layout, never the notification."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolt_app.notifications.content.fallbacks import CONTENT_CODES, renderings
from bolt_app.notifications.content.meaning import with_meaning
from bolt_app.notifications.content.message import TEXT_SIZE, mention, render
from bolt_app.severity import COLOURS, SIGNS
from slack_sandbox import Fault
from tests.notifications.hand import Hand, accept, states
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.calling import request

EMPTY = {"type": "section", "text": {"type": "mrkdwn", "text": ""}}
BUTTON = {
    "type": "actions",
    "elements": [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": "Open"},
            "url": "alerts.example/1",
            "action_id": "a",
        }
    ],
}
PICTURE = {"type": "image", "image_url": "https://x.example/a.png", "alt_text": "graph"}
HEADER = {"type": "header", "text": {"type": "plain_text", "text": "<a>"}}
SAID = {"type": "section", "text": {"type": "mrkdwn", "text": "*disk* &lt;full&gt;"}}


def shown(message: Any) -> str:
    return json.dumps([message["text"], message.get("blocks"), message.get("attachments")])


def test_each_rendering_is_simpler_than_the_one_before() -> None:
    content = {"blocks": [SAID, PICTURE], "severity": "error", "title": "Disk"}

    first, without_image, without_layout, text = renderings(content)

    assert first == render(content)
    assert "image_url" not in shown(without_image)
    assert "*disk* &lt;full&gt;" in shown(without_layout)
    assert set(text) == {"text"}


def test_nothing_is_rendered_twice() -> None:
    assert list(renderings({"text": "plain"})) == [{"text": "plain"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"text": "fallback", "blocks": [SAID]}, ["*disk* &lt;full&gt;"]),
        ({"text": "said", "blocks": [EMPTY]}, ["said"]),
        (
            {
                "attachments": [
                    {"pretext": "P", "title": "T", "title_link": "https://x", "text": "X"}
                ]
            },
            ["P", "T <https://x>", "X"],
        ),
        ({"attachments": [{"fields": [{"title": "host", "value": 7}]}]}, ["host: 7"]),
        ({"attachments": [{"fallback": "F", "color": "danger"}]}, ["F", "Error"]),
        ({"attachments": [{"blocks": [SAID]}]}, ["*disk* &lt;full&gt;"]),
        ({"title": "T", "fields": [{"name": "a", "value": "b"}], "text": "x"}, ["T", "a: b", "x"]),
        ({"attachments": [{"color": "good"}]}, ["Success"]),
        ({"blocks": [HEADER]}, ["&lt;a&gt;"]),
        (mention({"blocks": [SAID]}, ["U1"]), ["<@U1>"]),
        ({"blocks": [BUTTON]}, ["Open: alerts.example/1"]),
        ({"blocks": [PICTURE]}, ["<https://x.example/a.png|graph>"]),
        (
            {"attachments": [{"image_url": "https://x.example/a.png"}]},
            ["<https://x.example/a.png|"],
        ),
        ({"blocks": [EMPTY]}, ["A notification"]),
    ],
)
def test_the_words_are_kept(content: Any, words: list[str]) -> None:
    *_, text = renderings(with_meaning(content))

    assert set(text) == {"text"}
    assert all(word in text["text"] for word in words), text


def test_the_severity_is_in_every_rendering() -> None:
    under = [{"type": "divider"}]
    content = {"attachments": [{"color": "good", "text": "Fine again", "blocks": [SAID]}]}
    _, simple, text = renderings(with_meaning(content), under=under)

    assert [one["color"] for one in simple["attachments"]] == [COLOURS["success"]]
    assert simple["attachments"][-1]["blocks"][-1] == under[0]
    assert text["text"].startswith(SIGNS["success"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "title", "fields", "elements"]), inner)
    ),
    max_leaves=8,
)
PARTS = st.dictionaries(
    st.sampled_from(["type", "text", "title", "title_link", "fields", "blocks", "fallback"]), JSON
)


@given(st.lists(PARTS, max_size=3), st.lists(PARTS, min_size=1, max_size=3), st.text(max_size=9))
def test_malformed_layouts_end_as_text(blocks: Any, attachments: Any, text: str) -> None:
    content = {"blocks": blocks, "attachments": attachments, "text": text}
    *_, last = renderings({name: value for name, value in content.items() if value})

    assert last["text"].strip()
    assert len(last["text"].encode()) <= TEXT_SIZE


pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def post(bellhop: Bellhop, payload: Any, query: str = "") -> None:
    url = bellhop.services.webhooks.create(ACME, "alerts", [GENERAL], source="alerts") + query
    answer = request("POST", url, json.dumps(payload).encode(), {"Content-Type": "text/json"})
    assert answer.status == 200
    bellhop.clock.advance(2)
    Hand(bellhop).deliver()


@pytest.mark.parametrize(
    "payload",
    [
        {"text": "disk full", "blocks": [EMPTY]},
        {"text": "disk full", "blocks": [BUTTON]},
        {"text": "disk full", "blocks": [{"type": "surprise"}]},
        {"attachments": [{"text": "disk full", "blocks": [EMPTY]}]},
        {"attachments": [{"fallback": "disk full", "blocks": [BUTTON]}]},
    ],
)
def test_an_alert_whose_layout_slack_rejects_arrives(installed: Bellhop, payload: Any) -> None:
    post(installed, payload)

    [message] = installed.slack.messages(GENERAL)
    assert "disk full" in json.dumps([message.text, message.attachments])


@pytest.mark.parametrize("code", sorted(CONTENT_CODES))
@pytest.mark.parametrize("times", [1, 2])
def test_every_content_error_has_a_simpler_rendering(
    installed: Bellhop, code: str, times: int
) -> None:
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", times=times, error=code))

    post(installed, {"text": "disk full", "attachments": [{"text": "90 %", "color": "danger"}]})

    [message] = installed.slack.messages(GENERAL)
    assert "disk full" in json.dumps([message.text, message.attachments])


def test_another_error_changes_no_layout(installed: Bellhop) -> None:
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error="is_archived"))
    sent = accept(installed, GENERAL, "x", blocks=[SAID])
    Hand(installed).deliver()

    assert states(installed, sent) == ["dead"]


@pytest.mark.parametrize("layout", [{"blocks": [EMPTY]}, {"blocks": [BUTTON]}])
def test_a_rejected_layout_still_turns_green(installed: Bellhop, layout: Any) -> None:
    red = {"attachments": [{"text": "disk full", "color": "danger"}]}
    green = {"attachments": [{"text": "disk is fine", "color": "good", **layout}]}

    post(installed, red, "?key=disk")
    post(installed, green, "?key=disk")

    [message] = installed.slack.messages(GENERAL)
    said = json.dumps([message.text, message.blocks, message.attachments], ensure_ascii=False)
    assert "disk is fine" in said
    assert SIGNS["success"] in said
    assert "disk full" not in said
