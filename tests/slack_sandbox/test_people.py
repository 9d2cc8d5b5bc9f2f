"""Slash commands, interactions, shortcuts, modals and shared channels."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import ConfirmationNeededError, NotFoundError, Sandbox, SandboxError
from slack_sandbox.seed import ACME, ANN, BEA, BEN, BETA, GUEST, WES
from slack_sandbox.world import Message, View
from tests.slack_sandbox.client import post_json
from tests.slack_sandbox.conftest import FakeClock, Installer
from tests.slack_sandbox.fake_app import Answer, FakeApp, Received, json_answer


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def _respond(url: str, body: Any) -> tuple[int, str]:
    answer = post_json(url, body)
    return answer.status, answer.text if answer.status == 200 else answer.json["error"]


class TestCommands:
    def test_a_command_is_sent_as_a_signed_form(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, clock: FakeClock, general: str
    ) -> None:
        result = slack.send_command(BEN, general, "/profile", "refresh <@U1> & go")

        received = app.last_request
        assert received.is_signed(clock.now)
        assert not received.is_signed(clock.now + 301)
        assert received.headers["user-agent"].startswith("Slackbot 1.0")
        assert received.headers["content-type"] == "application/x-www-form-urlencoded"
        form = received.form()
        assert list(form) == [
            "token",
            "team_id",
            "team_domain",
            "channel_id",
            "channel_name",
            "user_id",
            "user_name",
            "command",
            "text",
            "api_app_id",
            "is_enterprise_install",
            "response_url",
            "trigger_id",
        ]
        assert form["text"] == "refresh <@U1> & go"
        assert (form["user_id"], form["channel_name"]) == (BEN, "general")
        assert form["is_enterprise_install"] == "false"
        assert (result.status, result.error, result.message) == (200, None, None)

    def test_should_escape_escapes_mentions(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        slack.send_command(ANN, general, "/escaped", "request @ben in #random & more")
        text = app.last_request.form()["text"]
        assert text == f"request <@{BEN}|ben> in <#C0ACME0002|random> &amp; more"

    def test_a_command_contains_the_organization(
        self, installer: Installer, slack: Sandbox, app: FakeApp
    ) -> None:
        installer.install(WES, org=True)
        channel = next(
            channel.id
            for channel in slack.channels.values()
            if WES in channel.members and channel.is_general
        )
        slack.send_command(WES, channel, "/profile")
        form = app.last_request.form()
        assert form["is_enterprise_install"] == "true"
        assert form["enterprise_name"] == "Globex Grid"

    def test_a_response_is_ephemeral_by_default(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        app.answer = lambda received: json_answer({"text": "for you"})
        result = slack.send_command(ANN, general, "/profile")
        assert result.body == {"text": "for you"}
        assert [message.text for message in slack.ephemerals(ANN)] == ["for you"]
        assert slack.messages(general) == []

    def test_a_response_can_be_in_channel_or_plain_text(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        app.answer = lambda received: json_answer({"text": "all", "response_type": "in_channel"})
        slack.send_command(ANN, general, "/profile")
        assert [message.text for message in slack.messages(general)] == ["all"]
        app.answer = lambda received: Answer(body="just words")
        slack.send_command(ANN, general, "/profile")
        assert [message.text for message in slack.ephemerals(ANN)] == ["just words"]

    def test_invalid_blocks_in_a_response_are_an_error(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        app.answer = lambda received: json_answer({"blocks": [{"type": "marquee"}]})
        result = slack.send_command(ANN, general, "/profile")
        assert result.error == "invalid_command_response"
        assert "invalid_command_response" in slack.ephemerals(ANN)[-1].text

    @pytest.mark.slow
    def test_a_command_times_out_after_three_seconds(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        release = threading.Event()

        def slow(received: Received) -> Answer:
            release.wait(10)
            return Answer()

        app.answer = slow
        result = slack.send_command(ANN, general, "/profile")
        release.set()
        assert result.error == "operation_timeout"
        assert result.elapsed >= 3
        assert "operation_timeout" in slack.ephemerals(ANN)[-1].text

    def test_an_app_failure_has_slacks_error(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        app.answer = lambda received: Answer(status=500)
        assert slack.send_command(ANN, general, "/profile").error == "dispatch_unknown_error"
        slack.set_app_url("http://127.0.0.1:9")
        assert slack.send_command(ANN, general, "/profile").error == "dispatch_failed"

    def test_unknown_commands_and_channels(
        self, slack: Sandbox, installer: Installer, general: str
    ) -> None:
        assert slack.send_command(ANN, general, "/profile").error == "unknown_command"
        installer.install()
        assert slack.send_command(ANN, general, "/dance").error == "unknown_command"
        with pytest.raises(SandboxError):
            slack.send_command(GUEST, general, "/profile")


class TestResponseUrls:
    @pytest.fixture
    def url(self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str) -> str:
        slack.send_command(ANN, general, "/profile")
        return app.last_request.form()["response_url"]

    def test_five_uses(self, slack: Sandbox, url: str) -> None:
        for index in range(5):
            assert _respond(url, {"text": str(index)}) == (200, "ok")
        assert _respond(url, {"text": "6"}) == (404, "used_url")
        assert len(slack.ephemerals(ANN)) == 5

    def test_thirty_minutes(self, clock: FakeClock, url: str) -> None:
        clock.move(1_800)
        assert _respond(url, {"text": "late"}) == (404, "expired_url")

    def test_invalid_responses_are_rejected(self, url: str, slack: Sandbox) -> None:
        assert _respond(url, {"text": ""}) == (400, "no_text")
        assert _respond(url, {"blocks": [{"type": "marquee"}]}) == (400, "invalid_blocks")
        assert _respond(url, "words") == (400, "invalid_payload")
        assert _respond(f"{url}x", {"text": "x"}) == (404, "no_service")
        assert slack.ephemerals(ANN) == []

    def test_an_in_channel_response(self, slack: Sandbox, url: str, general: str) -> None:
        _respond(url, {"text": "for all", "response_type": "in_channel"})
        assert [message.text for message in slack.messages(general)] == ["for all"]


BLOCKS: list[dict[str, Any]] = [
    {
        "type": "actions",
        "block_id": "b",
        "elements": [
            {"type": "button", "action_id": "go", "text": _plain("Go"), "value": "42"},
            {
                "type": "button",
                "action_id": "drop",
                "text": _plain("Drop"),
                "confirm": {
                    "title": _plain("Sure?"),
                    "text": _plain("Gone then."),
                    "confirm": _plain("Yes"),
                    "deny": _plain("No"),
                },
            },
            {
                "type": "static_select",
                "action_id": "pick",
                "options": [{"text": _plain("One"), "value": "1"}],
            },
            {"type": "channels_select", "action_id": "where"},
        ],
    }
]


class TestClicks:
    @pytest.fixture
    def message(self, bot: WebClient, slack: Sandbox, general: str) -> Message:
        bot.conversations_join(channel=general)
        bot.chat_postMessage(channel=general, text="x", blocks=BLOCKS)
        slack.deliver_due()  # the event of the message comes first
        return slack.messages(general)[-1]

    def test_a_click_sends_block_actions(
        self, slack: Sandbox, app: FakeApp, clock: FakeClock, message: Message
    ) -> None:
        result = slack.click(BEN, message, "go")
        assert (result.status, result.error) == (200, None)
        received = app.last_request
        assert received.is_signed(clock.now)
        payload = received.payload()
        assert payload["type"] == "block_actions"
        assert payload["user"]["id"] == BEN
        assert payload["team"] == {"id": ACME, "domain": "acme"}
        assert payload["container"]["message_ts"] == message.ts
        assert payload["message"]["ts"] == message.ts
        assert payload["enterprise"] is None
        action = payload["actions"][0]
        assert (action["action_id"], action["block_id"], action["value"]) == ("go", "b", "42")
        assert "pick" in payload["state"]["values"]["b"]

    def test_a_click_can_need_confirmation(
        self, slack: Sandbox, app: FakeApp, message: Message
    ) -> None:
        before = len(app.received)
        with pytest.raises(ConfirmationNeededError) as caught:
            slack.click(ANN, message, "drop")
        assert caught.value.confirm["title"]["text"] == "Sure?"
        assert len(app.received) == before
        slack.click(ANN, message, "drop", confirmed=True)
        assert len(app.received) == before + 1

    def test_menus_send_the_selection(
        self, slack: Sandbox, app: FakeApp, message: Message, general: str
    ) -> None:
        slack.select_option(ANN, message, "pick", "1")
        assert app.last_request.payload()["actions"][0]["selected_option"]["value"] == "1"
        slack.select_option(ANN, message, "where", general)
        assert app.last_request.payload()["actions"][0]["selected_channel"] == general
        with pytest.raises(NotFoundError):
            slack.select_option(ANN, message, "pick", "2")

    def test_a_response_url_replaces_and_deletes(
        self, slack: Sandbox, app: FakeApp, message: Message, general: str
    ) -> None:
        slack.click(ANN, message, "go")
        url = app.last_request.payload()["response_url"]
        assert _respond(url, {"replace_original": True, "text": "done"})[0] == 200
        assert [message.text for message in slack.messages(general)] == ["done"]
        assert _respond(url, {"delete_original": True})[0] == 200
        assert slack.messages(general) == []
        assert _respond(url, {"delete_original": True}) == (400, "message_not_found")

    def test_only_the_recipient_can_click_in_an_ephemeral_message(
        self, slack: Sandbox, app: FakeApp, bot: WebClient, general: str
    ) -> None:
        url = slack.new_response_url("commands", ANN, slack.channels[general])
        _respond(url, {"text": "x", "blocks": BLOCKS})
        message = slack.ephemerals(ANN)[-1]
        slack.click(ANN, message, "go")
        payload = app.last_request.payload()
        assert payload["container"]["is_ephemeral"] is True
        assert "message" not in payload
        with pytest.raises(SandboxError):
            slack.click(BEN, message, "go")


def _modal(**changes: Any) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": "form",
        "title": _plain("Form"),
        "submit": _plain("Send"),
        "blocks": [
            {
                "type": "input",
                "block_id": "name",
                "label": _plain("Name"),
                "element": {"type": "plain_text_input", "action_id": "name"},
            }
        ],
        **changes,
    }


class TestMessageShortcuts:
    def test_a_shortcut_sends_message_action(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str, clock: FakeClock
    ) -> None:
        message = slack.post_as(ANN, general, "look at this")
        result = slack.use_shortcut(BEN, message, "link")

        assert result.error is None
        received = app.last_request
        assert received.is_signed(clock())
        payload = received.payload()
        assert (
            payload.items()
            >= {
                "type": "message_action",
                "callback_id": "link",
                "message_ts": message.ts,
            }.items()
        )
        assert payload["message"]["text"] == "look at this"
        assert payload["channel"] == {"id": general, "name": "general"}
        assert payload["team"] == {"id": ACME, "domain": "acme"}
        assert payload["user"]["id"] == BEN
        for name in ("trigger_id", "response_url", "action_ts", "token"):
            assert payload[name]

    def test_unknown_and_invisible_targets_are_rejected(
        self, bot: WebClient, slack: Sandbox, general: str
    ) -> None:
        message = slack.post_as(ANN, general, "look at this")
        for callback_id in ("request", "other"):
            with pytest.raises(NotFoundError):
                slack.use_shortcut(BEN, message, callback_id)
        with pytest.raises(SandboxError):
            slack.use_shortcut(BEA, message, "link")

    def test_shortcuts_need_an_installation(self, slack: Sandbox, general: str) -> None:
        message = slack.post_as(ANN, general, "look at this")
        with pytest.raises(NotFoundError):
            slack.use_shortcut(BEN, message, "link")


class TestModals:
    @pytest.fixture
    def view(self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str) -> View:
        slack.send_command(ANN, general, "/profile")
        bot.views_open(trigger_id=app.last_request.form()["trigger_id"], view=_modal())
        view = slack.open_modal(ANN)
        assert view is not None
        return view

    def test_submitting_sends_view_submission_and_closes(
        self, slack: Sandbox, app: FakeApp, view: View
    ) -> None:
        result = slack.submit_view(ANN, view.id, {"name": {"name": "Ann"}})
        payload = app.last_request.payload()
        assert payload["type"] == "view_submission"
        assert payload["view"]["state"]["values"] == {
            "name": {"name": {"type": "plain_text_input", "value": "Ann"}}
        }
        assert result.error is None
        assert slack.open_modal(ANN) is None

    def test_an_empty_required_input_is_not_submitted(
        self, slack: Sandbox, app: FakeApp, view: View
    ) -> None:
        before = len(app.received)
        result = slack.submit_view(ANN, view.id, {})
        assert set(result.errors) == {"name"}
        assert len(app.received) == before

    def test_errors_are_shown_on_the_view(self, slack: Sandbox, app: FakeApp, view: View) -> None:
        app.answer = lambda received: json_answer(
            {"response_action": "errors", "errors": {"name": "Too short"}}
        )
        result = slack.submit_view(ANN, view.id, {"name": {"name": "A"}})
        assert result.errors == view.errors == {"name": "Too short"}
        assert slack.open_modal(ANN) is view

    def test_errors_for_unknown_inputs_are_rejected(
        self, slack: Sandbox, app: FakeApp, view: View
    ) -> None:
        app.answer = lambda received: json_answer(
            {"response_action": "errors", "errors": {"other": "?"}}
        )
        assert slack.submit_view(ANN, view.id, {"name": {"name": "A"}}).error == "invalid_errors"

    def test_update_and_push(self, slack: Sandbox, app: FakeApp, view: View) -> None:
        app.answer = lambda received: json_answer(
            {"response_action": "push", "view": _modal(title=_plain("Second"))}
        )
        slack.submit_view(ANN, view.id, {"name": {"name": "A"}})
        top = slack.open_modal(ANN)
        assert top is not None
        assert (top.previous_view_id, top.root_view_id) == (view.id, view.id)
        app.answer = lambda received: json_answer(
            {"response_action": "update", "view": _modal(title=_plain("Third"))}
        )
        slack.submit_view(ANN, top.id, {"name": {"name": "A"}})
        changed = slack.open_modal(ANN)
        assert changed is not None
        assert changed.id == top.id
        assert changed.title == _plain("Third")
        app.answer = lambda received: json_answer({"response_action": "clear"})
        slack.submit_view(ANN, top.id, {"name": {"name": "A"}})
        assert slack.views == {}

    def test_notify_on_close_sends_view_closed(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, view: View
    ) -> None:
        before = len(app.received)
        bot.views_update(view_id=view.id, hash=view.hash, view=_modal(notify_on_close=True))
        slack.close_view(ANN, view.id)
        assert [request.payload()["type"] for request in app.received[before:]] == ["view_closed"]
        assert slack.open_modal(ANN) is None

    def test_an_old_hash_conflicts(self, bot: WebClient, view: View) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.views_update(view_id=view.id, hash="1.old", view=_modal())
        assert caught.value.response["error"] == "hash_conflict"

    @pytest.mark.parametrize(
        ("wait", "uses", "error"),
        [(3.0, 0, "expired_trigger_id"), (0.0, 1, "exchanged_trigger_id")],
    )
    def test_a_trigger_id_works_once_within_three_seconds(
        self,
        bot: WebClient,
        slack: Sandbox,
        app: FakeApp,
        clock: FakeClock,
        general: str,
        wait: float,
        uses: int,
        error: str,
    ) -> None:
        slack.send_command(ANN, general, "/profile")
        trigger_id = app.last_request.form()["trigger_id"]
        for _ in range(uses):
            bot.views_open(trigger_id=trigger_id, view=_modal())
        clock.move(wait)
        with pytest.raises(SlackApiError) as caught:
            bot.views_open(trigger_id=trigger_id, view=_modal())
        assert caught.value.response["error"] == error

    def test_an_invalid_view_is_an_invalid_argument(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        slack.send_command(ANN, general, "/profile")
        trigger_id = app.last_request.form()["trigger_id"]
        with pytest.raises(SlackApiError) as caught:
            bot.views_open(trigger_id=trigger_id, view=_modal(title=_plain("x" * 25)))
        answer = caught.value.response
        assert answer["error"] == "invalid_arguments"
        assert "json-pointer:/view/title/text" in answer["response_metadata"]["messages"][0]


def test_the_home_tab(bot: WebClient, slack: Sandbox, app: FakeApp) -> None:
    slack.open_home(ANN, ACME)
    slack.deliver_due()
    event = app.events("app_home_opened")[0]
    assert (event["user"], event["tab"]) == (ANN, "home")
    assert "view" not in event
    bot.views_publish(user_id=ANN, view={"type": "home", "blocks": [{"type": "divider"}]})
    home = slack.home_view(ACME, ANN)
    assert home is not None
    slack.open_home(ANN, ACME)
    slack.deliver_due()
    assert app.events("app_home_opened")[1]["view"]["id"] == home.id


def test_a_read_only_messages_tab_rejects_messages(bot: WebClient, slack: Sandbox) -> None:
    object.__setattr__(slack.config, "messages_tab_read_only", True)
    dm = slack.app_dm(ACME, ANN)
    with pytest.raises(SandboxError, match="turned off"):
        slack.post_as(ANN, dm.id, "hello?")


class TestSharedChannels:
    """Slack Connect: https://docs.slack.dev/apis/slack-connect."""

    def test_members_of_shared_channels_are_visible(
        self, bot: WebClient, slack: Sandbox, general: str
    ) -> None:
        with pytest.raises(SlackApiError, match="user_not_found"):
            bot.users_info(user=BEA)

        slack.share_channel(general, BEA)

        assert bot.users_info(user=BEA)["user"]["team_id"] == BETA
        channel = bot.conversations_info(channel=general)["channel"]
        assert channel["is_ext_shared"] is True
        assert channel["shared_team_ids"] == [ACME, BETA]

    def test_a_click_in_a_shared_channel_contains_the_persons_workspace(
        self, bot: WebClient, slack: Sandbox, app: FakeApp, general: str
    ) -> None:
        button = {"type": "button", "text": _plain("Go"), "action_id": "go"}
        blocks = [{"type": "actions", "elements": [button]}]
        bot.conversations_join(channel=general)
        bot.chat_postMessage(channel=general, text="x", blocks=blocks)
        slack.share_channel(general, BEA)

        slack.click(BEA, slack.messages(general)[-1], "go")

        [payload] = [
            request.payload() for request in app.received if request.body.startswith("payload=")
        ]
        assert payload["user"]["team_id"] == BETA
        assert payload["team"]["id"] == ACME
