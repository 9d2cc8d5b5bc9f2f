"""The client's pages: visibility, and the JSON for the page's script."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from slack_sdk import WebClient

from slack_sandbox import Sandbox, SandboxServer
from slack_sandbox.seed import ACME, ANN, BEN, BETA
from tests.slack_sandbox.client import HttpResponse, post_json, request
from tests.slack_sandbox.conftest import Installer


def get(slack: Sandbox, path: str) -> HttpResponse:
    return request(f"{slack.base_url}{path}")


def conversation_path(channel: str, user: str = ANN, query: str = "") -> str:
    return f"/client/{ACME}/{channel}?as={user}{query}"


def live(slack: Sandbox, channel: str, user: str = ANN, query: str = "") -> dict[str, Any]:
    screen: dict[str, Any] = get(slack, f"/live{conversation_path(channel, user, query)}").json
    return screen


def digests(screen: dict[str, Any]) -> dict[str, str]:
    return {name: fragment["digest"] for name, fragment in screen["parts"].items()}


def test_the_start_page_lists_people_and_links_to_the_app(slack: Sandbox) -> None:
    page = get(slack, "/").text

    for shown in ("Ann", "ben", "Acme", "Beta", slack.config.app_url, "is not installed"):
        assert shown in page


@pytest.mark.parametrize("path", ["/", "/oauth/v2/authorize"])
def test_every_page_has_an_icon(slack: Sandbox, path: str) -> None:
    icon = re.search(r'<link rel="icon" [^>]*href="([^"]+)"', get(slack, path).text)

    assert icon is not None
    assert get(slack, icon[1]).status == 200


def test_a_conversation_shows_messages_and_a_composer(slack: Sandbox, general: str) -> None:
    slack.post_as(BEN, general, "*hello* <everyone>")

    page = get(slack, conversation_path(general)).text

    assert "<strong>hello</strong> &lt;everyone&gt;" in page
    assert 'placeholder="Message #general"' in page
    assert "is not installed in Acme" in page


@pytest.mark.parametrize(
    "path",
    [
        "/",
        conversation_path("{general}"),
        conversation_path("app"),
        conversation_path(BEN),
        conversation_path("C0NOWHERE1"),
        "/client/T/C",
    ],
)
def test_every_page_states_that_it_is_not_slack(slack: Sandbox, general: str, path: str) -> None:
    answer = get(slack, path.format(general=general))

    assert "This is not Slack." in answer.text
    assert re.search(r"<title>[^<]*not Slack</title>", answer.text)
    assert "style=" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_a_conversation_the_person_cannot_see_is_not_found(slack: Sandbox, general: str) -> None:
    private = slack.add_channel(ACME, "secret", members=[ANN], is_private=True)

    assert get(slack, conversation_path(private.id, ANN)).status == 200
    for path in (
        conversation_path(private.id, BEN),
        conversation_path(general, "U0NOBODY01"),
        conversation_path("C0NOWHERE1"),
    ):
        assert get(slack, path).status == 404
        assert get(slack, f"/live{path}").status == 404


def test_app_redirect_acts_as_the_latest_installer(slack: Sandbox, installer: Installer) -> None:
    assert get(slack, f"/app_redirect?app=A0BELLHOP01&team={ACME}").headers["Location"] == "/"
    installer.install(ANN)
    installer.install(BEN)

    answer = get(slack, f"/app_redirect?app=A0BELLHOP01&team={ACME}")

    assert answer.headers["Location"] == conversation_path("app", BEN)


def test_a_permalink_opens_the_channel(bot: WebClient, slack: Sandbox, general: str) -> None:
    bot.conversations_join(channel=general)
    posted = bot.chat_postMessage(channel=general, text="x")
    link = bot.chat_getPermalink(channel=general, message_ts=posted["ts"])["permalink"]

    assert request(link).headers["Location"] == conversation_path(general)


def test_only_changed_fragments_have_a_new_digest(slack: Sandbox, general: str) -> None:
    slack.post_as(BEN, general, "one")
    previous = live(slack, general)
    slack.post_as(BEN, general, "two")
    after = live(slack, general)

    assert after["version"] != previous["version"]
    messages = [fragment["digest"] for fragment in previous["lists"]["messages"]]
    assert [fragment["digest"] for fragment in after["lists"]["messages"]][
        : len(messages)
    ] == messages
    changed = {name for name, digest in digests(after).items() if digest != digests(previous)[name]}
    assert changed == {"conversations"}


def test_an_ephemeral_message_is_shown_only_to_its_recipient(
    bot: WebClient, slack: Sandbox, general: str
) -> None:
    url = slack.new_response_url("commands", ANN, slack.channels[general])
    assert post_json(url, {"text": "psst"}).status == 200

    assert "psst" in str(live(slack, general, ANN))
    assert "Only visible to you" in str(live(slack, general, ANN))
    assert "psst" not in str(live(slack, general, BEN))


def test_a_thread_is_shown_next_to_its_channel(slack: Sandbox, general: str) -> None:
    root = slack.post_as(ANN, general, "root")
    slack.post_as(BEN, general, "reply", thread_ts=root.ts)

    screen = live(slack, general, query=f"&thread={root.ts}")

    assert "reply" in str(screen["lists"]["thread"])
    assert "reply</div>" not in str(screen["lists"]["messages"])
    assert "1 reply" in str(screen["lists"]["messages"])


def test_waiting_ends_with_a_change(slack: Sandbox, general: str) -> None:
    answers: list[int] = []
    previous = slack.version
    waiting = threading.Thread(
        target=lambda: answers.append(get(slack, f"/live/changes?since={previous}").json["version"])
    )
    waiting.start()
    slack.post_as(ANN, general, "now")
    waiting.join(10)

    assert answers
    assert answers[0] != previous


def test_waiting_ends_when_the_sandbox_stops(server: SandboxServer) -> None:
    slack = server.sandbox
    ended = threading.Event()

    def wait() -> None:
        try:
            get(slack, f"/live/changes?since={slack.version}")
        except OSError:
            pass
        finally:
            ended.set()

    threading.Thread(target=wait).start()
    server.stop()

    assert ended.wait(10)


def test_developer_tools_hide_secrets(
    bot: WebClient, slack: Sandbox, installer: Installer, general: str
) -> None:
    bot.conversations_join(channel=general)

    page = get(slack, "/live/traffic").text

    assert "conversations.join" in page
    assert "oauth.v2.access" in page
    assert general in page
    for secret in (str(bot.token), slack.config.client_secret):
        assert secret not in page


def test_commands_are_suggested_only_where_the_app_is_installed(
    slack: Sandbox, installer: Installer, general: str
) -> None:
    assert live(slack, general)["about"]["commands"] == []
    installer.install()
    assert [command["insert"] for command in live(slack, general)["about"]["commands"]] == [
        "/profile",
        "/escaped",
    ]
    assert slack.conversations_for(BETA, "U0ANN00002")
