"""Links of the app's domains: ``link_shared`` and ``chat.unfurl``."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import AppConfig, Sandbox
from slack_sandbox.seed import ACME, ANN, BEN
from slack_sandbox.world import Message
from tests.slack_sandbox.fake_app import FakeApp

URL = "https://bell.links.example/notifications/1"
BLOCKS: dict[str, Any] = {
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Hello*"}}]
}


@pytest.fixture
def message(bot: WebClient, slack: Sandbox, general: str) -> Message:
    message = slack.post_as(ANN, general, f"see <{URL}|this>, or https://other.example/x")
    slack.deliver_due()
    return message


def event(app: FakeApp) -> dict[str, Any]:
    return app.events("link_shared")[-1]


def test_a_posted_link_sends_link_shared(
    slack: Sandbox, app: FakeApp, message: Message, general: str
) -> None:
    assert (
        event(app).items()
        >= {
            "channel": general,
            "user": ANN,
            "message_ts": message.ts,
            "source": "conversations_history",
            "is_bot_user_member": False,
            "links": [{"domain": "links.example", "url": URL}],
        }.items()
    )
    assert event(app)["unfurl_id"]


def test_other_domains_and_the_bots_messages_send_no_event(
    bot: WebClient, slack: Sandbox, app: FakeApp, general: str
) -> None:
    bot.conversations_join(channel=general)
    bot.chat_postMessage(channel=general, text=URL)
    slack.post_as(ANN, general, "https://links.example.other.example/ and http://xlinks.example")
    slack.deliver_due()

    assert app.events("link_shared") == []


def test_an_unfurl_is_added_changed_and_removed(
    bot: WebClient, app: FakeApp, message: Message, general: str
) -> None:
    where = {name: event(app)[name] for name in ("unfurl_id", "source")}
    bot.chat_unfurl(unfurls={URL: BLOCKS}, **where)
    [attachment] = message.attachments
    assert attachment["from_url"] == URL
    assert attachment["is_app_unfurl"] is True

    bot.chat_unfurl(unfurls={URL: {"text": "else"}}, channel=general, ts=message.ts)
    assert [attachment["text"] for attachment in message.attachments] == ["else"]
    bot.chat_unfurl(unfurls={URL: {}}, channel=general, ts=message.ts)
    assert message.attachments == []


def test_a_link_in_a_draft(bot: WebClient, slack: Sandbox, app: FakeApp) -> None:
    unfurl_id = slack.compose_as(BEN, ACME, f"see {URL}.")
    slack.deliver_due()
    assert unfurl_id is not None
    assert (
        event(app).items()
        >= {
            "channel": "COMPOSER",
            "source": "composer",
            "message_ts": unfurl_id,
        }.items()
    )

    bot.chat_unfurl(unfurls={URL: BLOCKS}, unfurl_id=unfurl_id, source="composer")
    assert list(slack.shared_links[unfurl_id].shown) == [URL]
    assert slack.compose_as(BEN, ACME, "no link") is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"unfurls": {}}, "missing_unfurls"),
        ({"unfurls": "[1]"}, "invalid_unfurls_format"),
        ({"unfurls": {"https://other.example/x": BLOCKS}}, "cannot_unfurl_url"),
        ({"unfurls": {URL: {"blocks": [{"type": "section"}]}}}, "invalid_attachments"),
        ({"unfurl_id": ""}, "missing_unfurl_id"),
        ({"unfurl_id": "U1-x"}, "invalid_unfurl_id"),
        ({"source": ""}, "missing_source"),
        ({"source": "mail"}, "invalid_source"),
        ({"source": "composer"}, "invalid_source"),
        ({"unfurl_id": "", "source": ""}, "missing_channel"),
        ({"unfurl_id": "", "source": "", "channel": "C1"}, "missing_ts"),
        ({"unfurl_id": "", "source": "", "channel": "C1", "ts": "1.1"}, "cannot_find_channel"),
    ],
)
def test_invalid_unfurls_are_rejected(
    bot: WebClient, app: FakeApp, message: Message, changes: dict[str, Any], error: str
) -> None:
    given = {"unfurls": {URL: BLOCKS}}
    given |= {name: event(app)[name] for name in ("unfurl_id", "source")}
    with pytest.raises(SlackApiError) as caught:
        bot.api_call("chat.unfurl", json=given | changes)
    assert caught.value.response["error"] == error
    assert message.attachments == []


def test_the_apps_domain_follows_app_url() -> None:
    manifest = {
        "display_information": {"name": "App"},
        "features": {"unfurl_domains": ["app.example.com", "elsewhere.example"]},
        "oauth_config": {"redirect_urls": ["https://app.example.com/callback"]},
    }
    config = AppConfig.from_manifest(
        manifest,
        app_url="http://127.0.0.1:3000",
        client_id="1.2",
        client_secret="s",
        signing_secret="s",
    )

    assert config.unfurl_domains == ("127.0.0.1", "elsewhere.example")
    assert config.at("https://bell.test").unfurl_domains == ("bell.test", "elsewhere.example")
