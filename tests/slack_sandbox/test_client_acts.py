"""What people do in the client, as the page's script sends it."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient

from slack_sandbox import Sandbox
from slack_sandbox.seed import ACME, ANN, BEN
from tests.slack_sandbox.asking import FORM, HttpAnswer, ask, post_json
from tests.slack_sandbox.fake_app import Answer, FakeApp, json_answer


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def option(value: str) -> dict[str, Any]:
    return {"text": plain(value), "value": value}


CONFIRM = {
    "title": plain("Sure?"),
    "text": plain("It is gone for good."),
    "confirm": plain("Yes"),
    "deny": plain("No"),
    "style": "danger",
}
ELEMENTS: list[dict[str, Any]] = [
    {"type": "button", "action_id": "go", "text": plain("Go"), "value": "7"},
    {"type": "button", "action_id": "drop", "text": plain("Drop"), "confirm": CONFIRM},
    {"type": "static_select", "action_id": "pick", "options": [option("one"), option("two")]},
    {"type": "overflow", "action_id": "more", "options": [option("a"), option("b")]},
    {"type": "checkboxes", "action_id": "tick", "options": [option("x"), option("y")]},
    {"type": "datetimepicker", "action_id": "when"},
]
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "ask",
    "title": plain("Ask"),
    "submit": plain("Send"),
    "blocks": [
        {
            "type": "input",
            "block_id": "name",
            "label": plain("Name"),
            "element": {"type": "plain_text_input", "action_id": "typed"},
        }
    ],
}


class Client:
    """One person in one channel."""

    def __init__(self, slack: Sandbox, channel: str, user: str = ANN) -> None:
        self.slack = slack
        self.here = {"team": ACME, "place": channel, "user": user}

    def do(self, deed: str, **body: Any) -> HttpAnswer:
        return post_json(f"{self.slack.base_url}/live/{deed}", {**self.here, **body})

    def say(self, text: str, **more: Any) -> HttpAnswer:
        return self.do("say", text=text, **more)


@pytest.fixture
def ann(slack: Sandbox, general: str) -> Client:
    return Client(slack, general)


@pytest.fixture
def act(bot: WebClient, slack: Sandbox, ann: Client, general: str) -> Any:
    """Use an element of a message that the bot has posted."""
    bot.conversations_join(channel=general)
    posted = bot.chat_postMessage(
        channel=general,
        text="choose",
        blocks=[{"type": "actions", "block_id": "b", "elements": ELEMENTS}],
    )

    def do(action_id: str, value: Any = None, **more: Any) -> HttpAnswer:
        where = {"channel": general, "ts": posted["ts"], "block_id": "b", "state": {}}
        return ann.do("act", action_id=action_id, value=value, **{**where, **more})

    return do


def last_action(app: FakeApp) -> Any:
    return app.asked.payload()["actions"][0]


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("a < b & c", "a &lt; b &amp; c"),
        ("hi @ben", f"hi <@{BEN}>"),
        ("hi @nobody", "hi @nobody"),
        ("@here", "<!here>"),
        ("in #general", "in <#{general}|general>"),
        ("see https://a.test/x.", "see <https://a.test/x>."),
        ("`@ben`", "`@ben`"),
        ("mail@ben", "mail@ben"),
        ("/not/a/command", "/not/a/command"),
    ],
)
def test_what_is_typed_is_sent_as_slacks_client_does(
    ann: Client, slack: Sandbox, general: str, typed: str, sent: str
) -> None:
    assert ann.say(typed).json == {"ok": True}
    assert slack.messages(general)[-1].text == sent.format(general=general)


def test_a_slash_command_is_sent_to_the_app(
    bot: WebClient, ann: Client, app: FakeApp, slack: Sandbox, general: str
) -> None:
    app.answer = lambda received: json_answer({"text": "done"})

    ann.say("/profile refresh")

    form = app.asked.form()
    assert (form["command"], form["text"], form["user_id"]) == ("/profile", "refresh", ANN)
    assert slack.ephemerals(ANN, general)[-1].text == "done"


def test_an_unknown_command_is_refused_in_words(ann: Client, slack: Sandbox, general: str) -> None:
    ann.say("/nonsense")

    assert "/nonsense" in slack.ephemerals(ANN, general)[-1].text
    assert slack.messages(general) == []


def test_commands_are_refused_in_threads(ann: Client, slack: Sandbox, general: str) -> None:
    root = slack.post_as(ANN, general, "root")

    assert ann.say("/profile", thread=root.ts).json["error"] == (
        "/profile is not supported in threads."
    )
    assert ann.say("a reply", thread=root.ts).json == {"ok": True}
    assert slack.messages(general)[-1].thread_ts == root.ts


def test_joining_and_inviting(bot: WebClient, slack: Sandbox) -> None:
    channel = slack.add_channel(ACME, "fresh", members=[BEN])
    ann = Client(slack, channel.id)

    assert ann.say("hello").status == 400
    assert ann.do("invite").status == 400
    assert ann.do("join").json == {"ok": True}
    assert ann.say("hello").json == {"ok": True}
    assert ann.do("invite").json == {"ok": True}
    assert bot.chat_postMessage(channel=channel.id, text="here")["ok"]


def test_a_button_sends_its_value(act: Any, app: FakeApp) -> None:
    assert act("go", "7").json == {"ok": True}
    assert last_action(app)["value"] == "7"


def test_a_button_that_asks_first(act: Any, app: FakeApp) -> None:
    question = act("drop").json["confirm"]

    assert question == {
        "title": "Sure?",
        "html": "It is gone for good.",
        "confirm": "Yes",
        "deny": "No",
        "style": "danger",
    }
    assert all("payload" not in one.form() for one in app.received)
    assert act("drop", confirmed=True).json == {"ok": True}
    assert last_action(app)["action_id"] == "drop"


def test_menus_and_boxes_send_what_was_chosen(act: Any, app: FakeApp) -> None:
    act("pick", "two")
    assert last_action(app)["selected_option"]["value"] == "two"
    act("more", "b")
    assert last_action(app)["selected_option"]["value"] == "b"
    act("tick", ["x", "y"])
    assert [one["value"] for one in last_action(app)["selected_options"]] == ["x", "y"]


def test_a_date_and_time_is_read_in_the_persons_zone(act: Any, app: FakeApp) -> None:
    act("when", "2026-11-24T14:00")

    assert last_action(app)["selected_date_time"] == 1795521600  # 12:00 UTC: Ann is in Helsinki


def test_what_is_not_offered_cannot_be_chosen(act: Any) -> None:
    answer = act("pick", "three")
    assert (answer.status, answer.json) == (404, {"error": "Three is not among the options."})


def test_an_app_that_fails_is_said_in_words(act: Any, app: FakeApp) -> None:
    app.answer = lambda received: Answer(500)

    assert act("go", "7").json["error"] == (
        "Testbell answered with an error (dispatch_unknown_error)."
    )


def test_a_modal_with_what_is_wrong_in_it(
    bot: WebClient, act: Any, ann: Client, app: FakeApp, slack: Sandbox
) -> None:
    act("go", "7")
    bot.views_open(trigger_id=app.asked.payload()["trigger_id"], view=MODAL)
    modal = slack.open_modal(ANN)
    assert modal is not None
    wrong = {"response_action": "errors", "errors": {"name": "Too short"}}
    state = {"name": {"typed": "A"}}

    app.answer = lambda received: json_answer(wrong)
    assert ann.do("submit", view=modal.id, state=state).json == {"ok": False}
    screen = ask(f"{slack.base_url}/live/client/{ACME}/{ann.here['place']}?as={ANN}").json
    assert "Too short" in screen["parts"]["modal"]["html"]

    app.answer = lambda received: Answer()
    assert ann.do("submit", view=modal.id, state=state).json == {"ok": True}
    submitted = app.asked.payload()["view"]["state"]["values"]
    assert submitted["name"]["typed"]["value"] == "A"
    assert slack.open_modal(ANN) is None


def test_a_modal_is_closed(
    bot: WebClient, act: Any, ann: Client, app: FakeApp, slack: Sandbox
) -> None:
    act("go", "7")
    bot.views_open(trigger_id=app.asked.payload()["trigger_id"], view=MODAL)
    modal = slack.open_modal(ANN)
    assert modal is not None

    assert ann.do("close", view=modal.id).json == {"ok": True}
    assert slack.open_modal(ANN) is None


def test_looking_at_the_app_tells_it(bot: WebClient, slack: Sandbox, app: FakeApp) -> None:
    assert Client(slack, "app").do("look", tab="home").json == {"ok": True}
    slack.deliver_due()

    assert app.events("app_home_opened")[-1]["tab"] == "home"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"team": ACME},
        {"team": ACME, "place": "C0NOWHERE1", "user": ANN, "text": "x"},
        {"team": ACME, "place": "app", "user": "U0NOBODY01", "text": "x"},
        {"team": 7, "place": [], "user": None},
    ],
)
def test_a_malformed_body_is_refused_with_a_sentence(slack: Sandbox, body: Any) -> None:
    answer = post_json(f"{slack.base_url}/live/say", body)

    assert answer.status in (400, 404)
    assert answer.json["error"]


@pytest.mark.parametrize("deed", ["say", "join", "invite", "look", "act", "submit", "close"])
def test_a_form_of_another_site_does_nothing(slack: Sandbox, general: str, deed: str) -> None:
    form = f"team={ACME}&place={general}&user={ANN}&text=x".encode()
    for headers in (FORM, {"Content-Type": "text/plain"}):
        assert ask(f"{slack.base_url}/live/{deed}", form, headers).status == 400
    assert slack.messages(general) == []
