"""Clients of Slack's Web API, unmodified except for their base URL."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.credentials.api_keys import Scope
from bolt_app.delays import Delays
from slack_sandbox import Fault
from slack_sandbox.world import Message
from tests.delivering import delivering, install_without_limits, quick_bellhop, wait_until
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import PATIENCE_SECONDS, Bellhop
from tests.web.methods.calling import MethodCaller, method_caller
from tests.web.test_real_clients import alert, alertmanager, ended, tell

NODE_FOLDER = Path(__file__).with_name("node")


@pytest.fixture
def running(
    database_url: str, encryption_key: str, request: pytest.FixtureRequest
) -> Iterator[Bellhop]:
    """Bellhop, installed and delivering; a busy machine may be slow to post a message.

    A parameter is how long calls wait for Slack's `ts`, in seconds.
    """
    seconds = getattr(request, "param", PATIENCE_SECONDS / 2)
    delays = replace(Delays(), message_result=seconds)
    with quick_bellhop(database_url, encryption_key, delays=delays) as bellhop:
        install_without_limits(bellhop)
        with delivering(bellhop):
            yield bellhop


@pytest.fixture
def key(running: Bellhop) -> str:
    return running.services.api_keys.create(
        ACME, "tools", scopes=(Scope.SEND, Scope.READ, Scope.USERS)
    )


@pytest.fixture
def client(running: Bellhop, key: str) -> WebClient:
    return WebClient(token=key, base_url=f"{running.url}/api/")


def shown(bellhop: Bellhop) -> list[tuple[str, str | None]]:
    """Return text and thread of the messages in #general."""
    return [(one.text, one.thread_ts) for one in bellhop.slack.messages(GENERAL)]


def wait_for(bellhop: Bellhop, *texts: str) -> list[Message]:
    """Wait until #general has exactly these texts."""
    wait_until(bellhop, lambda: [text for text, _ in shown(bellhop)] == list(texts))
    return bellhop.slack.messages(GENERAL)


class TestSlackSdk:
    def test_messages(self, running: Bellhop, client: WebClient) -> None:
        one = client.chat_postMessage(channel="#general", text="one", unfurl_links=False)
        [message] = running.slack.messages(GENERAL)
        # The lane was empty: this is Slack's.
        assert (one["channel"], one["ts"]) == (GENERAL, message.ts)

        two = client.chat_postMessage(
            channel=GENERAL, text="two", thread_ts=one["ts"], reply_broadcast=True
        )
        client.chat_update(channel=one["channel"], ts=one["ts"], text="one!")
        wait_for(running, "one!", "two")
        client.chat_delete(channel=two["channel"], ts=two["ts"])
        wait_for(running, "one!")
        link = client.chat_getPermalink(channel=GENERAL, message_ts=one["ts"])["permalink"]
        assert link.startswith(running.slack_url)

    def test_an_error_that_slack_reports_at_once(self, running: Bellhop, client: WebClient) -> None:
        running.slack.archive_channel(GENERAL)

        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel=GENERAL, text="one")

        assert caught.value.response["error"] == "is_archived"

    @pytest.mark.parametrize("running", [0.5], indirect=True)
    def test_a_provisional_ts_while_slack_asks_to_wait(
        self, running: Bellhop, client: WebClient
    ) -> None:
        running.slack.faults.add(Fault("chat.postMessage", "rate_limited", retry_after=2, times=1))

        one = client.chat_postMessage(channel=GENERAL, text="one")
        client.chat_postMessage(channel=GENERAL, text="two", thread_ts=one["ts"])
        client.chat_update(channel=GENERAL, ts=one["ts"], text="one!")

        message, reply = wait_for(running, "one!", "two")
        assert one["ts"] != message.ts
        assert reply.thread_ts == message.ts

    def test_lookups(self, running: Bellhop, client: WebClient) -> None:
        assert client.api_test()["ok"]
        assert client.auth_test()["team_id"] == ACME
        names = [
            one["name"] for page in client.conversations_list(limit=2) for one in page["channels"]
        ]
        assert "general" in names
        assert client.conversations_info(channel=GENERAL)["channel"]["name"] == "general"
        assert client.conversations_join(channel=GENERAL)["channel"]["is_member"]
        assert [one["id"] for one in client.users_conversations()["channels"]] == [GENERAL]
        assert client.team_info()["team"]["name"] == "Acme"
        opened = client.conversations_open(users=[BEN], return_im=True)["channel"]
        assert opened["id"] == running.slack.app_dm(ACME, BEN).id
        ann = client.users_lookupByEmail(email="ann@acme.example")["user"]
        assert (ann["id"], ann["profile"]["email"]) == (ANN, "ann@acme.example")
        assert client.users_info(user=BEN)["user"]["id"] == BEN
        people = [one["id"] for page in client.users_list(limit=3) for one in page["members"]]
        assert {ANN, BEN} <= set(people)
        asked = len(running.slack.calls_to("users.info"))
        client.users_info(user=BEN)
        assert len(running.slack.calls_to("users.info")) == asked

    def test_async(self, running: Bellhop, key: str) -> None:
        async def post() -> list[Any]:
            client = AsyncWebClient(token=key, base_url=f"{running.url}/api/")
            one = await client.chat_postMessage(channel=GENERAL, text="one")
            calls = [
                client.chat_postMessage(channel=GENERAL, text="two", thread_ts=one["ts"])
                for _ in range(3)
            ]
            return [one["ts"], *(answer["ts"] for answer in await asyncio.gather(*calls))]

        given = asyncio.run(post())

        one, *replies = wait_for(running, "one", "two", "two", "two")
        assert len(set(given)) == 4
        assert {reply.thread_ts for reply in replies} == {one.ts}


@pytest.mark.slow
def test_an_update_while_the_message_is_posted_is_never_lost(
    database_url: str, encryption_key: str
) -> None:
    """The worker begins messages at the same time as they are replaced in the queue."""
    numbers = range(20)

    def post_and_update(caller: MethodCaller, channel: str) -> None:
        for number in numbers:
            ts = caller.ok("chat.postMessage", channel=channel, text="draft")["ts"]
            caller.ok("chat.update", channel=channel, ts=ts, text=str(number))

    with quick_bellhop(database_url, encryption_key) as bellhop:
        install_without_limits(bellhop)
        caller = method_caller(bellhop)
        channels = [one.id for one in bellhop.slack.add_channels(ACME, 4)]
        with delivering(bellhop), ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda channel: post_and_update(caller, channel), channels))
            expected = [str(number) for number in numbers]
            for channel in channels:
                wait_until(
                    bellhop,
                    lambda channel=channel: (  # type: ignore[misc]
                        [one.text for one in bellhop.slack.messages(channel)] == expected
                    ),
                )


@pytest.mark.node
def test_slack_web_api(running: Bellhop, key: str) -> None:
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules").exists():
        if os.environ.get("REQUIRE_NODE") == "1":
            raise FileNotFoundError(f"run npm ci in {NODE_FOLDER}")
        pytest.skip("no Node.js, or its packages are not installed")
    script = str(NODE_FOLDER / "messages.js")
    command = [node, script, f"{running.url}/api/", key, "#general"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["team"] == ACME
    assert answer["one"]["channel"] == GENERAL
    assert "general" in answer["names"]
    assert answer["failed"] == "channel_not_found"
    file = answer["file"]
    assert b"".join(running.services.files.chunks(file["id"])) == b"Hello"
    link = f"<{running.url}/files/{file['id']}|report.txt>"
    one, three, _ = wait_for(running, "one!", "three", f"four\n{link}")
    assert three.thread_ts == one.ts


@pytest.mark.alertmanager
def test_alertmanager_with_an_app_token(running: Bellhop, key: str, tmp_path: Path) -> None:
    receiver: dict[str, object] = {
        "slack_configs": [
            {
                "api_url": f"{running.url}/api/chat.postMessage",
                "http_config": {"authorization": {"credentials": key}},
                "channel": "#general",
                "send_resolved": True,
                "title": "{{ .CommonLabels.alertname }} is {{ .Status }}",
            }
        ]
    }
    with alertmanager(tmp_path, receiver) as address:
        tell(address, alert())
        wait_until(running, lambda: len(running.slack.messages(GENERAL)) == 1)
        tell(address, ended(alert()))
        wait_until(running, lambda: len(running.slack.messages(GENERAL)) == 2)

    firing, resolved = running.slack.messages(GENERAL)
    assert firing.attachments[0]["title"] == "HighLatency is firing"
    assert resolved.attachments[0]["title"] == "HighLatency is resolved"
    log = (tmp_path / "log").read_text()
    assert "Notify for alerts failed" not in log
