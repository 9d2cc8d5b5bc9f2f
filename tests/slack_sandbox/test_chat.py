"""``chat.*``: posting, updating and deleting messages."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import Sandbox
from slack_sandbox.seed import ACME, ANN, ANN_AT_BETA, BEN, DEACTIVATED
from tests.slack_sandbox.conftest import Installer, MakeServer


@pytest.fixture
def channel(bot: WebClient, general: str) -> str:
    """#general, with the bot in it."""
    bot.conversations_join(channel=general)
    return general


def _refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    code = caught.value.response["error"]
    assert isinstance(code, str)
    return code


def _id(slack: Sandbox, name: str) -> str:
    return next(
        channel.id
        for channel in slack.channels.values()
        if (channel.team_id, channel.name) == (ACME, name)
    )


def test_a_message_is_visible_to_everyone(bot: WebClient, slack: Sandbox, channel: str) -> None:
    answer = bot.chat_postMessage(channel=channel, text="Hello <@U0ANN00001>")
    message = slack.messages(channel)[-1]
    assert (message.text, message.ts) == ("Hello <@U0ANN00001>", answer["ts"])
    assert answer["channel"] == channel
    assert answer["message"]["bot_id"] == message.bot_id
    assert answer["message"]["bot_profile"]["name"] == "Testbell"


def test_posting_to_a_public_channel_by_name(bot: WebClient, slack: Sandbox, channel: str) -> None:
    assert bot.chat_postMessage(channel="#general", text="hi")["channel"] == channel
    assert _refused(bot.chat_postMessage, channel="#nowhere", text="hi") == "channel_not_found"
    assert _refused(bot.chat_postMessage, channel="#leads", text="hi") == "channel_not_found"


def test_an_ephemeral_message_is_visible_to_one_person(
    bot: WebClient, slack: Sandbox, channel: str
) -> None:
    answer = bot.chat_postEphemeral(channel=channel, user=BEN, text="psst")

    [message] = slack.ephemerals(BEN)
    assert (message.text, message.ts) == ("psst", answer["message_ts"])
    assert slack.ephemerals(ANN) == []
    assert "psst" not in [one.text for one in slack.messages(channel)]
    outsider = {"channel": channel, "user": ANN_AT_BETA, "text": "psst"}
    assert _refused(bot.chat_postEphemeral, **outsider) == "user_not_in_channel"
    elsewhere = {"channel": _id(slack, "random"), "user": BEN, "text": "psst"}
    assert _refused(bot.chat_postEphemeral, **elsewhere) == "not_in_channel"


def test_a_reaction(bot: WebClient, slack: Sandbox, channel: str) -> None:
    ts = bot.chat_postMessage(channel=channel, text="hi")["ts"]
    there = {"channel": channel, "timestamp": ts}
    assert _refused(bot.reactions_add, **there, name="eyes") == "missing_scope"
    for key in slack.tokens.installations:
        for token in slack.tokens.live(key, "bot"):
            token.scopes = (*token.scopes, "reactions:write")

    bot.reactions_add(**there, name="eyes")

    shown = bot.conversations_history(channel=channel)["messages"][0]["reactions"]
    assert [(one["name"], one["count"]) for one in shown] == [("eyes", 1)]
    assert _refused(bot.reactions_add, **there, name="eyes") == "already_reacted"
    assert _refused(bot.reactions_add, **there, name="no such") == "invalid_name"
    there["timestamp"] = "1.1"
    assert _refused(bot.reactions_add, **there, name="eyes") == "message_not_found"


def test_posting_to_a_user_id_opens_a_direct_message(bot: WebClient, slack: Sandbox) -> None:
    answer = bot.chat_postMessage(channel=BEN, text="psst")
    assert answer["channel"].startswith("D")
    assert slack.app_dm(ACME, BEN).id == answer["channel"]


def table(length: int) -> dict[str, Any]:
    """Return a table with so many characters."""
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "x" * length}]]}


def text_in(markdown: str) -> dict[str, Any]:
    return {"type": "markdown", "text": markdown}


@pytest.mark.parametrize("length", [1, 10_000])
def test_a_table_and_the_longest_markdown_are_accepted(
    bot: WebClient, channel: str, length: int
) -> None:
    bars = [{"blocks": [table(length)]}]
    blocks = [{"type": "divider"}, text_in("x" * 12_000)]
    bot.chat_postMessage(channel=channel, text="x", blocks=blocks, attachments=bars)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "  "}, "no_text"),
        ({"blocks": "nonsense"}, "invalid_blocks_format"),
        ({"blocks": [{"type": "marquee"}], "text": "x"}, "invalid_blocks"),
        ({"text": "x", "attachments": [{"text": "y"}] * 101}, "too_many_attachments"),
        ({"text": "x", "thread_ts": "yesterday"}, "invalid_thread_ts"),
        ({"attachments": [{"color": "good", "mrkdwn_in": ["text"]}]}, "no_text"),
        ({"text": "x", "metadata": {"event_type": "only"}}, "invalid_metadata_format"),
        (
            {"text": "x", "metadata": {"event_type": "t", "event_payload": {"a": "b" * 16_000}}},
            "metadata_too_large",
        ),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"blocks": [table(1), table(1)]}, "invalid_blocks"),
        ({"blocks": [table(1)], "attachments": [{"blocks": [table(1)]}]}, "invalid_attachments"),
        ({"blocks": [table(10_001)]}, "invalid_blocks"),
        ({"attachments": [{"blocks": [table(10_001)]}]}, "invalid_attachments"),
        ({"blocks": [table(0)]}, "invalid_blocks"),
        (
            {"blocks": [text_in("x" * 7000)], "attachments": [{"blocks": [text_in("x" * 5001)]}]},
            "invalid_attachments",
        ),
        ({"text": "x", "username": "Somebody"}, "missing_scope"),
        ({"text": "x", "channel": "C0NOWHERE"}, "channel_not_found"),
        ({"text": "x", "channel": ANN_AT_BETA}, "channel_not_found"),
        ({"text": "x", "channel": DEACTIVATED}, "user_disabled"),
    ],
)
def test_invalid_messages_are_rejected(
    bot: WebClient, slack: Sandbox, channel: str, arguments: dict[str, Any], error: str
) -> None:
    # Not through chat_postMessage, which warns about missing text.
    body = {"channel": channel, **arguments}
    assert _refused(bot.api_call, api_method="chat.postMessage", json=body) == error
    assert slack.messages(channel) == []


def test_posting_without_membership_is_rejected(bot: WebClient, slack: Sandbox) -> None:
    for name, error in (
        ("random", "not_in_channel"),
        ("leads", "channel_not_found"),
        ("old-news", "is_archived"),
    ):
        assert _refused(bot.chat_postMessage, channel=_id(slack, name), text="x") == error


def test_chat_write_public_posts_without_membership(installer: Installer, slack: Sandbox) -> None:
    token = installer.install(scope="chat:write,chat:write.public")["access_token"]
    installer.client.chat_postMessage(token=token, channel=_id(slack, "random"), text="x")


def test_direct_messages_need_the_messages_tab(
    bot: WebClient, slack: Sandbox, make_server: MakeServer
) -> None:
    object.__setattr__(slack.config, "messages_tab", False)
    assert _refused(bot.chat_postMessage, channel=BEN, text="x") == "messages_tab_disabled"


def test_long_text_is_truncated_with_a_warning(bot: WebClient, channel: str) -> None:
    answer = bot.chat_postMessage(channel=channel, text="x" * 40_001)
    assert len(answer["message"]["text"]) == 40_000
    assert "message_truncated" in answer["warning"]


def test_the_total_length_of_blocks_is_limited(bot: WebClient, channel: str) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2_900}}
    arguments = {"channel": channel, "text": "x", "blocks": [section] * 5}
    assert _refused(bot.chat_postMessage, **arguments) == "msg_blocks_too_long"


class TestThreads:
    def test_a_reply_to_a_deleted_message_is_posted_in_the_channel(
        self, bot: WebClient, slack: Sandbox, channel: str
    ) -> None:
        gone = bot.chat_postMessage(channel=channel, text="gone")["ts"]
        bot.chat_delete(channel=channel, ts=gone)
        for ts in ("1.000001", gone):
            answer = bot.chat_postMessage(channel=channel, text="reply", thread_ts=ts)
            assert "thread_ts" not in answer["message"]
        assert [message.thread_ts for message in slack.messages(channel)] == [None, None]
        assert _refused(bot.conversations_replies, channel=channel, ts=gone) == "thread_not_found"

    def test_a_deleted_message_with_replies_accepts_replies(
        self, bot: WebClient, channel: str
    ) -> None:
        first = bot.chat_postMessage(channel=channel, text="first")["ts"]
        reply = bot.chat_postMessage(channel=channel, text="reply", thread_ts=first)["ts"]
        bot.chat_delete(channel=channel, ts=first)

        more = bot.chat_postMessage(channel=channel, text="more", thread_ts=first)
        assert more["message"]["thread_ts"] == first
        [tombstone, *replies] = bot.conversations_replies(channel=channel, ts=first)["messages"]
        assert (tombstone["subtype"], tombstone["user"]) == ("tombstone", "USLACKBOT")
        assert [reply["text"] for reply in replies] == ["reply", "more"]
        shown = bot.conversations_history(channel=channel)["messages"]
        assert [message["text"] for message in shown] == ["This message was deleted."]
        assert _refused(bot.chat_update, channel=channel, ts=first, text="x") == "message_not_found"

        for ts in (reply, more["ts"]):
            bot.chat_delete(channel=channel, ts=ts)
        assert bot.conversations_history(channel=channel)["messages"] == []


class TestUnreachableImages:
    """Slack fetches images when a message is posted, and rejects the message if it cannot."""

    IMAGE: ClassVar[dict[str, Any]] = {
        "type": "image",
        "image_url": "https://intranet.example/graph.png",
        "alt_text": "A graph",
    }

    @pytest.fixture(autouse=True)
    def unreachable(self, slack: Sandbox) -> None:
        slack.unreachable_hosts = {"intranet.example"}

    @pytest.mark.parametrize(
        ("block", "pointer"),
        [
            (IMAGE, "image_url"),
            ({"type": "context", "elements": [IMAGE]}, "elements/0/image_url"),
            (
                {
                    "type": "section",
                    "text": {"type": "mrkdwn", "text": "x"},
                    "accessory": IMAGE,
                },
                "accessory/image_url",
            ),
        ],
    )
    def test_blocks(
        self, bot: WebClient, slack: Sandbox, channel: str, block: dict[str, Any], pointer: str
    ) -> None:
        for where, error, arguments in (
            ("/blocks/0", "invalid_blocks", {"blocks": [block]}),
            (
                "/attachments/0/blocks/0",
                "invalid_attachments",
                {"attachments": [{"blocks": [block]}]},
            ),
        ):
            with pytest.raises(SlackApiError) as caught:
                bot.chat_postMessage(channel=channel, text="x", **arguments)
            answer = caught.value.response
            assert answer["error"] == error
            assert answer["errors"] == [
                f"downloading image failed [json-pointer:{where}/{pointer}]"
            ]
        assert slack.messages(channel) == []

    def test_other_hosts_and_legacy_images_are_accepted(self, bot: WebClient, channel: str) -> None:
        image = {**self.IMAGE, "image_url": "https://cdn.example/graph.png"}
        bot.chat_postMessage(channel=channel, text="x", blocks=[image])
        legacy = [{"fallback": "x", "image_url": self.IMAGE["image_url"]}]
        bot.chat_postMessage(channel=channel, text="x", attachments=legacy)


def test_long_attachment_texts_are_truncated(bot: WebClient, channel: str) -> None:
    given = [{"text": "ä" * 4_001, "footer": "f" * 301}]
    answer = bot.chat_postMessage(channel=channel, text="x", attachments=given)
    [kept] = answer["message"]["attachments"]
    assert (kept["text"], kept["footer"]) == ("ä" * 4_000, "f" * 300)


def test_block_errors_contain_the_json_pointer(bot: WebClient, channel: str) -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "divider"},
        {"type": "header", "text": {"type": "plain_text", "text": ""}},
    ]
    with pytest.raises(SlackApiError) as caught:
        bot.chat_postMessage(channel=channel, text="x", blocks=blocks)
    assert caught.value.response["response_metadata"]["messages"] == [
        "[ERROR] must be more than 0 characters [json-pointer:/blocks/1/text/text]"
    ]


def test_missing_block_and_action_ids_are_generated(bot: WebClient, channel: str) -> None:
    answer = bot.chat_postMessage(channel=channel, text="x", blocks=[{"type": "divider"}])
    assert answer["message"]["blocks"][0]["block_id"]


def test_history_returns_metadata(bot: WebClient, channel: str) -> None:
    metadata = {"event_type": "delivered", "event_payload": {"id": "7"}}
    bot.chat_postMessage(channel=channel, text="x", metadata=metadata)
    with_it = bot.conversations_history(channel=channel, include_all_metadata=True)
    assert with_it["messages"][0]["metadata"] == metadata
    without = bot.conversations_history(channel=channel)
    assert without["messages"][0]["metadata"] == {"event_type": "delivered"}


def test_update_changes_the_callers_message(bot: WebClient, slack: Sandbox, channel: str) -> None:
    ts = bot.chat_postMessage(channel=channel, text="one")["ts"]
    answer = bot.chat_update(channel=channel, ts=ts, text="two")
    message = slack.messages(channel)[-1]
    assert (answer["text"], message.text) == ("two", "two")
    assert message.edited_ts is not None
    assert _refused(bot.chat_update, channel=channel, ts=ts, text="x" * 4_001) == "msg_too_long"


def test_update_keeps_omitted_parts(bot: WebClient, slack: Sandbox, channel: str) -> None:
    blocks = [{"type": "divider", "block_id": "d"}]
    attachments = [{"id": 1, "text": "a", "fallback": "a"}]
    metadata = {"event_type": "t", "event_payload": {"id": "1"}}
    ts = bot.chat_postMessage(
        channel=channel, text="one", blocks=blocks, attachments=attachments, metadata=metadata
    )["ts"]
    message = slack.messages(channel)[-1]
    bot.api_call("chat.update", json={"channel": channel, "ts": ts, "attachments": attachments})
    assert (message.text, message.blocks, message.metadata) == ("one", blocks, metadata)
    bot.chat_update(channel=channel, ts=ts, text="two")
    assert (message.blocks, message.attachments) == ([], attachments)
    other = {"event_type": "t", "event_payload": {"id": "2"}}
    bot.chat_update(channel=channel, ts=ts, text="three", attachments=[], metadata=other)
    assert (message.attachments, message.metadata) == ([], other)
    bot.chat_update(channel=channel, ts=ts, text="four", metadata={})
    assert message.metadata is None


def test_an_update_with_blocks_is_not_marked_as_edited(
    bot: WebClient, slack: Sandbox, channel: str
) -> None:
    ts = bot.chat_postMessage(channel=channel, text="one")["ts"]
    bot.chat_update(channel=channel, ts=ts, text="two", blocks=[{"type": "divider"}])
    assert slack.messages(channel)[-1].edited_ts is None


def test_an_archived_channel_rejects_updates(bot: WebClient, slack: Sandbox, channel: str) -> None:
    ts = bot.chat_postMessage(channel=channel, text="one")["ts"]
    slack.archive_channel(channel)
    assert _refused(bot.chat_update, channel=channel, ts=ts, text="two") == "is_inactive"
    assert _refused(bot.chat_postMessage, channel=channel, text="two") == "is_archived"
    history = bot.conversations_history(channel=channel)
    assert [message["text"] for message in history["messages"]] == ["one"]


def test_history_needs_its_scope(installer: Installer, slack: Sandbox) -> None:
    token = installer.install(scope="chat:write,channels:join,metadata.message:read")
    bot = WebClient(token=token["access_token"], base_url=installer.client.base_url)
    general = _id(slack, "general")
    bot.conversations_join(channel=general)
    assert _refused(bot.conversations_history, channel=general) == "missing_scope"


def test_messages_of_others_cannot_be_changed(bot: WebClient, slack: Sandbox, channel: str) -> None:
    ts = slack.post_as(ANN, channel, "mine").ts
    assert _refused(bot.chat_update, channel=channel, ts=ts, text="x") == "cant_update_message"
    assert _refused(bot.chat_delete, channel=channel, ts=ts) == "cant_delete_message"
    assert _refused(bot.chat_delete, channel=channel, ts="1.000001") == "message_not_found"


def test_delete_removes_a_message(bot: WebClient, slack: Sandbox, channel: str) -> None:
    ts = bot.chat_postMessage(channel=channel, text="oops")["ts"]
    bot.chat_delete(channel=channel, ts=ts)
    assert slack.messages(channel) == []
    assert _refused(bot.chat_getPermalink, channel=channel, message_ts=ts) == "message_not_found"


def test_a_permalink_points_to_the_sandbox(bot: WebClient, slack: Sandbox, channel: str) -> None:
    ts = bot.chat_postMessage(channel=channel, text="x")["ts"]
    link = bot.chat_getPermalink(channel=channel, message_ts=ts)["permalink"]
    assert link == f"{slack.base_url}/archives/{channel}/p{ts.replace('.', '')}"
