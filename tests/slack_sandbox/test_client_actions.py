"""Actions of people in the client, as sent by the page's script."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient

from slack_sandbox import Sandbox
from slack_sandbox.seed import ACME, ANN, BEN
from tests.slack_sandbox.client import FORM, HttpResponse, post_json, request
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
    "callback_id": "request",
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
        self.here = {"team": ACME, "conversation": channel, "user": user}

    def send(self, action: str, **body: Any) -> HttpResponse:
        return post_json(f"{self.slack.base_url}/live/{action}", {**self.here, **body})

    def post(self, text: str, **more: Any) -> HttpResponse:
        return self.send("message", text=text, **more)


@pytest.fixture
def ann(slack: Sandbox, general: str) -> Client:
    return Client(slack, general)


@pytest.fixture
def act(bot: WebClient, slack: Sandbox, ann: Client, general: str) -> Any:
    """Use an element of a message by the bot."""
    bot.conversations_join(channel=general)
    posted = bot.chat_postMessage(
        channel=general,
        text="choose",
        blocks=[{"type": "actions", "block_id": "b", "elements": ELEMENTS}],
    )

    def do(action_id: str, value: Any = None, **more: Any) -> HttpResponse:
        where = {"channel": general, "ts": posted["ts"], "block_id": "b", "state": {}}
        return ann.send("action", action_id=action_id, value=value, **{**where, **more})

    return do


def last_action(app: FakeApp) -> Any:
    return app.last_request.payload()["actions"][0]


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
def test_typed_text_is_sent_in_slacks_format(
    ann: Client, slack: Sandbox, general: str, typed: str, sent: str
) -> None:
    assert ann.post(typed).json == {"ok": True}
    assert slack.messages(general)[-1].text == sent.format(general=general)


def test_a_slash_command_is_sent_to_the_app(
    bot: WebClient, ann: Client, app: FakeApp, slack: Sandbox, general: str
) -> None:
    app.answer = lambda received: json_answer({"text": "done"})

    ann.post("/profile refresh")

    form = app.last_request.form()
    assert (form["command"], form["text"], form["user_id"]) == ("/profile", "refresh", ANN)
    assert slack.ephemerals(ANN, general)[-1].text == "done"


def test_an_unknown_command_shows_an_error(ann: Client, slack: Sandbox, general: str) -> None:
    ann.post("/nonsense")

    assert "/nonsense" in slack.ephemerals(ANN, general)[-1].text
    assert slack.messages(general) == []


def test_commands_are_rejected_in_threads(ann: Client, slack: Sandbox, general: str) -> None:
    root = slack.post_as(ANN, general, "root")

    assert ann.post("/profile", thread=root.ts).json["error"] == (
        "/profile is not supported in threads."
    )
    assert ann.post("a reply", thread=root.ts).json == {"ok": True}
    assert slack.messages(general)[-1].thread_ts == root.ts


def test_joining_a_channel_and_inviting_the_app(bot: WebClient, slack: Sandbox) -> None:
    channel = slack.add_channel(ACME, "fresh", members=[BEN])
    ann = Client(slack, channel.id)

    assert ann.post("hello").status == 400
    assert ann.send("invite").status == 400
    assert ann.send("join").json == {"ok": True}
    assert ann.post("hello").json == {"ok": True}
    assert ann.send("invite").json == {"ok": True}
    assert bot.chat_postMessage(channel=channel.id, text="here")["ok"]


def test_a_button_sends_its_value(act: Any, app: FakeApp) -> None:
    assert act("go", "7").json == {"ok": True}
    assert last_action(app)["value"] == "7"


def test_a_button_with_a_confirm_dialog(act: Any, app: FakeApp) -> None:
    question = act("drop").json["confirm"]

    assert question == {
        "title": "Sure?",
        "html": "It is gone for good.",
        "confirm": "Yes",
        "deny": "No",
        "style": "danger",
    }
    assert all("payload" not in request.form() for request in app.received)
    assert act("drop", confirmed=True).json == {"ok": True}
    assert last_action(app)["action_id"] == "drop"


def test_menus_and_checkboxes_send_the_selection(act: Any, app: FakeApp) -> None:
    act("pick", "two")
    assert last_action(app)["selected_option"]["value"] == "two"
    act("more", "b")
    assert last_action(app)["selected_option"]["value"] == "b"
    act("tick", ["x", "y"])
    assert [option["value"] for option in last_action(app)["selected_options"]] == ["x", "y"]


def test_a_date_and_time_uses_the_persons_time_zone(act: Any, app: FakeApp) -> None:
    act("when", "2026-11-24T14:00")

    assert last_action(app)["selected_date_time"] == 1795521600  # 12:00 UTC: Ann is in Helsinki


def test_unknown_options_are_rejected(act: Any) -> None:
    answer = act("pick", "three")
    assert (answer.status, answer.json) == (404, {"error": "Three is not among the options."})


def test_an_app_failure_is_shown_as_a_sentence(act: Any, app: FakeApp) -> None:
    app.answer = lambda received: Answer(500)

    assert act("go", "7").json["error"] == (
        "Testbell responded with an error (dispatch_unknown_error)."
    )


def test_a_modal_shows_errors_and_closes_on_success(
    bot: WebClient, act: Any, ann: Client, app: FakeApp, slack: Sandbox
) -> None:
    act("go", "7")
    bot.views_open(trigger_id=app.last_request.payload()["trigger_id"], view=MODAL)
    modal = slack.open_modal(ANN)
    assert modal is not None
    wrong = {"response_action": "errors", "errors": {"name": "Too short"}}
    state = {"name": {"typed": "A"}}

    app.answer = lambda received: json_answer(wrong)
    assert ann.send("submit", view=modal.id, state=state).json == {"ok": False}
    screen = request(
        f"{slack.base_url}/live/client/{ACME}/{ann.here['conversation']}?as={ANN}"
    ).json
    assert "Too short" in screen["parts"]["modal"]["html"]

    app.answer = lambda received: Answer()
    assert ann.send("submit", view=modal.id, state=state).json == {"ok": True}
    submitted = app.last_request.payload()["view"]["state"]["values"]
    assert submitted["name"]["typed"]["value"] == "A"
    assert slack.open_modal(ANN) is None


def test_closing_a_modal(
    bot: WebClient, act: Any, ann: Client, app: FakeApp, slack: Sandbox
) -> None:
    act("go", "7")
    bot.views_open(trigger_id=app.last_request.payload()["trigger_id"], view=MODAL)
    modal = slack.open_modal(ANN)
    assert modal is not None

    assert ann.send("close", view=modal.id).json == {"ok": True}
    assert slack.open_modal(ANN) is None


def test_opening_the_app_sends_app_home_opened(
    bot: WebClient, slack: Sandbox, app: FakeApp
) -> None:
    assert Client(slack, "app").send("open-app", tab="home").json == {"ok": True}
    slack.deliver_due()

    assert app.events("app_home_opened")[-1]["tab"] == "home"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"team": ACME},
        {"team": ACME, "conversation": "C0NOWHERE1", "user": ANN, "text": "x"},
        {"team": ACME, "conversation": "app", "user": "U0NOBODY01", "text": "x"},
        {"team": 7, "conversation": [], "user": None},
    ],
)
def test_a_malformed_body_is_rejected(slack: Sandbox, body: Any) -> None:
    answer = post_json(f"{slack.base_url}/live/message", body)

    assert answer.status in (400, 404)
    assert answer.json["error"]


@pytest.mark.parametrize(
    "action", ["message", "join", "invite", "open-app", "action", "submit", "close"]
)
def test_a_cross_site_form_is_rejected(slack: Sandbox, general: str, action: str) -> None:
    form = f"team={ACME}&conversation={general}&user={ANN}&text=x".encode()
    for headers in (FORM, {"Content-Type": "text/plain"}):
        assert request(f"{slack.base_url}/live/{action}", form, headers).status == 400
    assert slack.messages(general) == []
