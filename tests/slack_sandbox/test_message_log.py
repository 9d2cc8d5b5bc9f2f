"""The message log: order, lookup by ``ts``, history and threads."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from slack_sandbox import Sandbox
from slack_sandbox.message_log import MessageLog, micros
from slack_sandbox.seed import ANN, BEN
from slack_sandbox.world import Message
from tests.slack_sandbox.conftest import FakeClock

TIMES = st.lists(st.integers(1, 10**8), unique=True, max_size=50)
EDGES = st.none() | st.integers(0, 10**8)


def ts(at: int) -> str:
    return f"{at // 1_000_000}.{at % 1_000_000:06d}"


def log_of(times: list[int]) -> MessageLog:
    log = MessageLog()
    for at in times:
        log.add(Message("C1", ts(at), "T1"))
    return log


@given(TIMES, EDGES, EDGES)
def test_messages_between_two_times(
    times: list[int], after: int | None, before: int | None
) -> None:
    log = log_of(times)
    found = [micros(log[index].ts) for index in log.between(after, before)]
    assert found == sorted(
        at for at in times if (after is None or at > after) and (before is None or at < before)
    )


@given(TIMES)
def test_messages_are_found_by_ts(times: list[int]) -> None:
    log = log_of(times)
    assert all(log.find(message.ts) is message for message in log)
    assert log.find("0.000000") is None


@pytest.mark.parametrize(
    ("text", "at"), [("1", 1_000_000), ("1.5", 1_500_000), ("1.0000019", 1_000_001)]
)
def test_ts_fractions_of_any_length(text: str, at: int) -> None:
    assert micros(text) == at


@pytest.fixture
def channel(bot: WebClient, general: str) -> str:
    bot.conversations_join(channel=general)
    return general


def texts(answer: SlackResponse) -> list[str]:
    return [message["text"] for message in answer["messages"]]


class TestHistory:
    def test_bounds_are_exclusive_by_default(
        self, bot: WebClient, slack: Sandbox, channel: str
    ) -> None:
        first, two, three = (slack.post_as(ANN, channel, text) for text in ("one", "two", "three"))
        edges: dict[str, Any] = {"channel": channel, "oldest": first.ts, "latest": three.ts}
        assert texts(bot.conversations_history(**edges)) == ["two"]
        assert texts(bot.conversations_history(**edges, inclusive=True)) == [
            *("three", "two", "one")
        ]
        assert texts(bot.conversations_history(channel=channel, oldest=two.ts)) == ["three"]

    def test_deletion_between_pages_neither_skips_nor_repeats(
        self, bot: WebClient, slack: Sandbox, channel: str
    ) -> None:
        posted = [bot.chat_postMessage(channel=channel, text=str(n))["ts"] for n in range(4)]
        first = bot.conversations_history(channel=channel, limit=2)
        bot.chat_delete(channel=channel, ts=posted[2])
        slack.post_as(ANN, channel, "new")
        cursor = first["response_metadata"]["next_cursor"]
        rest = bot.conversations_history(channel=channel, limit=9, cursor=cursor)
        assert (texts(first), texts(rest)) == (["3", "2"], ["1", "0"])
        assert (first["has_more"], rest["has_more"]) == (True, False)

    def test_broadcast_replies_are_in_the_history(self, bot: WebClient, channel: str) -> None:
        parent = bot.chat_postMessage(channel=channel, text="parent")["ts"]
        bot.chat_postMessage(channel=channel, text="quiet", thread_ts=parent)
        bot.chat_postMessage(channel=channel, text="loud", thread_ts=parent, reply_broadcast=True)
        answer = bot.conversations_history(channel=channel)
        assert texts(answer) == ["loud", "parent"]
        assert answer["messages"][1]["reply_count"] == 2

    @pytest.mark.parametrize("edge", ["oldest", "latest"])
    def test_a_malformed_time_is_rejected(self, bot: WebClient, channel: str, edge: str) -> None:
        with pytest.raises(SlackApiError) as caught:
            bot.api_call("conversations.history", json={"channel": channel, edge: "yesterday"})
        assert caught.value.response["error"] == f"invalid_ts_{edge}"


class TestReplies:
    def test_the_parent_comes_first_regardless_of_bounds(
        self, bot: WebClient, slack: Sandbox, clock: FakeClock, channel: str
    ) -> None:
        parent = bot.chat_postMessage(channel=channel, text="parent")["ts"]
        for number in range(3):
            clock.move(3_600)
            slack.post_as(BEN, channel, f"reply {number}", thread_ts=parent)
        oldest = f"{clock.now - 4_000:.6f}"
        answer = bot.conversations_replies(channel=channel, ts=parent, oldest=oldest)
        assert texts(answer) == ["parent", "reply 1", "reply 2"]

    def test_replies_have_pages(self, bot: WebClient, slack: Sandbox, channel: str) -> None:
        parent = bot.chat_postMessage(channel=channel, text="parent")["ts"]
        for number in range(4):
            slack.post_as(BEN, channel, str(number), thread_ts=parent)
        found = bot.conversations_replies(channel=channel, ts=parent, limit=2)
        pages = [texts(page) for page in found]
        assert pages == [["parent", "0"], ["1", "2"], ["3"]]

    def test_replies_contain_metadata(self, bot: WebClient, channel: str) -> None:
        parent = bot.chat_postMessage(channel=channel, text="parent")["ts"]
        metadata = {"event_type": "t", "event_payload": {"id": "7"}}
        bot.chat_postMessage(channel=channel, text="x", thread_ts=parent, metadata=metadata)
        answer = bot.conversations_replies(channel=channel, ts=parent, include_all_metadata=True)
        assert answer["messages"][1]["metadata"] == metadata


def test_timestamps_are_unique(bot: WebClient, channel: str) -> None:
    posted = [bot.chat_postMessage(channel=channel, text="x")["ts"] for _ in range(4)]
    assert all(micros(earlier) < micros(other) for earlier, other in pairwise(posted))
