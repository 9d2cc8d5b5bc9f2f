"""Faults of Web API calls, and their control over HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import Fault, Sandbox, SandboxServer
from slack_sandbox.faults import FaultKind
from slack_sandbox.seed import ANN
from tests.slack_sandbox.client import FORM, post_json, request


@pytest.fixture
def client(bot: WebClient, server: SandboxServer) -> WebClient:
    """A client without the retries of the SDK."""
    return WebClient(token=bot.token, base_url=f"{server.url}/api/", retry_handlers=[])


def test_latency(client: WebClient, slack: Sandbox) -> None:
    slack.faults.add(Fault(method="users.info", kind="latency", seconds=0.15))
    started = time.monotonic()
    client.users_info(user=ANN)
    assert time.monotonic() - started >= 0.15
    started = time.monotonic()
    client.auth_test()
    assert time.monotonic() - started < 0.15


def test_rate_limited(client: WebClient, slack: Sandbox) -> None:
    slack.faults.add(Fault(method="users.info", kind="rate_limited", retry_after=7, times=1))
    with pytest.raises(SlackApiError) as caught:
        client.users_info(user=ANN)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    client.users_info(user=ANN)


def test_server_error(server: SandboxServer, slack: Sandbox) -> None:
    slack.faults.add(Fault(kind="server_error", status=503))
    answer = request(f"{server.url}/api/auth.test", b"")
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("text/html")


def test_api_error(client: WebClient, slack: Sandbox) -> None:
    slack.faults.add(Fault(kind="api_error", error="fatal_error", times=1))
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response["error"] == "fatal_error"


def test_an_executed_call_can_be_answered_with_an_error(
    client: WebClient, slack: Sandbox, general: str
) -> None:
    client.conversations_join(channel=general)
    slack.faults.add(Fault("chat.postMessage", "api_error_after", error="fatal_error", times=1))
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=general, text="was I heard?")
    assert caught.value.response["error"] == "fatal_error"
    assert [message.text for message in slack.messages(general)] == ["was I heard?"]


def test_a_call_with_a_lost_answer_was_executed(
    client: WebClient, slack: Sandbox, general: str
) -> None:
    client.conversations_join(channel=general)
    slack.faults.add(Fault(method="chat.postMessage", kind="lost_answer", times=1))
    with pytest.raises(http.client.RemoteDisconnected):
        client.chat_postMessage(channel=general, text="was I heard?")
    assert [message.text for message in slack.messages(general)] == ["was I heard?"]
    call = slack.calls_to("chat.postMessage")[0]
    assert (call.answer, call.status) == (None, 0)
    client.chat_postMessage(channel=general, text="again")


def test_a_call_with_a_reset_was_not_executed(
    client: WebClient, slack: Sandbox, general: str
) -> None:
    client.conversations_join(channel=general)
    slack.faults.add(Fault(method="chat.postMessage", kind="reset", times=1))
    with pytest.raises(ConnectionResetError):
        client.chat_postMessage(channel=general, text="was I heard?")
    assert slack.messages(general) == []
    client.chat_postMessage(channel=general, text="again")
    assert [message.text for message in slack.messages(general)] == ["again"]


def test_a_call_with_a_late_reset_was_executed(
    client: WebClient, slack: Sandbox, general: str
) -> None:
    client.conversations_join(channel=general)
    slack.faults.add(Fault(method="chat.postMessage", kind="reset_after", times=1))
    with pytest.raises(ConnectionResetError):
        client.chat_postMessage(channel=general, text="was I heard?")
    assert [message.text for message in slack.messages(general)] == ["was I heard?"]


def test_a_fault_can_affect_every_nth_call(client: WebClient, slack: Sandbox) -> None:
    slack.faults.add(Fault(method="auth.test", kind="api_error", every=3, times=2))
    slack.faults.add(Fault(kind="api_error", error="fatal_error", every=4))
    outcomes = []
    for _ in range(9):
        try:
            client.auth_test()
            outcomes.append("ok")
        except SlackApiError as error:
            outcomes.append(error.response["error"])
    assert outcomes == [
        *("ok", "ok", "internal_error", "fatal_error", "ok"),
        *("internal_error", "ok", "fatal_error", "ok"),
    ]
    assert slack.faults.taken("auth.test") == 4
    assert [fault.every for fault in slack.faults.all()] == [4]


def test_clearing_faults_releases_a_timeout(
    client: WebClient, slack: Sandbox, general: str
) -> None:
    client.conversations_join(channel=general)
    slack.faults.add(Fault(method="chat.postMessage", kind="timeout", seconds=60))
    failures: list[Exception] = []
    begun = threading.Event()

    def post() -> None:
        begun.set()
        try:
            client.chat_postMessage(channel=general, text="hello?")
        except (http.client.HTTPException, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    begun.wait()
    _until(lambda: slack.faults.taken("chat.postMessage") == 1)
    slack.faults.clear()
    thread.join(5)
    assert len(failures) == 1
    assert slack.messages(general) == []


def test_faults_of_response_urls(bot: WebClient, slack: Sandbox, general: str) -> None:
    url = slack.new_response_url("commands", ANN, slack.channels[general])
    slack.faults.add(Fault(method="response_url", kind="server_error", times=1))
    assert post_json(url, {"text": "x"}).status == 500
    assert slack.ephemerals(ANN) == []
    slack.faults.add(Fault(method="response_url", kind="lost_answer", times=1))
    with pytest.raises(http.client.RemoteDisconnected):
        post_json(url, {"text": "x"})
    assert [message.text for message in slack.ephemerals(ANN)] == ["x"]
    slack.faults.add(Fault(method="response_url", kind="api_error_after", times=1))
    assert post_json(url, {"text": "y"}).json == {"ok": False, "error": "internal_error"}
    assert [message.text for message in slack.ephemerals(ANN)] == ["x", "y"]


@pytest.mark.parametrize(
    "arguments",
    [{"kind": "gremlins"}, {"times": 0}, {"seconds": -1}, {"status": 399}, {"every": 0}],
)
def test_an_invalid_fault_is_rejected(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Fault(**arguments)


@pytest.mark.parametrize("kind", ["latency", "timeout"])
def test_stopping_releases_held_connections(
    client: WebClient, server: SandboxServer, slack: Sandbox, kind: FaultKind
) -> None:
    slack.faults.add(Fault(method="auth.test", kind=kind, seconds=60))
    outcome: list[Exception | None] = []

    def call() -> None:
        try:
            client.auth_test()
            outcome.append(None)
        except (http.client.HTTPException, OSError, SlackApiError) as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    _until(lambda: slack.faults.taken("auth.test") == 1)
    server.stop()
    thread.join(5)
    assert len(outcome) == 1


class TestOverHttp:
    def _ask(
        self, server: SandboxServer, verb: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        answer = post_json(f"{server.url}/sandbox/{path}", body, verb=verb)
        return answer.status, answer.json

    def test_faults(self, server: SandboxServer, slack: Sandbox) -> None:
        fault = {"method": "users.info", "kind": "rate_limited", "times": 2, "every": 10}
        status, answer = self._ask(server, "POST", "faults", fault)
        assert status == 200
        assert fault.items() <= answer["faults"][0].items()
        assert self._ask(server, "POST", "faults", {"kind": "gremlins"})[0] == 400
        assert self._ask(server, "POST", "faults", {"colour": "red"})[0] == 400
        assert self._ask(server, "DELETE", "faults")[1] == {"faults": []}
        assert slack.faults.all() == []

    def test_calls_hide_secrets(self, server: SandboxServer, bot: WebClient) -> None:
        bot.users_info(user=ANN)
        status, answer = self._ask(server, "GET", "calls?last=2")
        assert status == 200
        assert answer["total"] == 2
        assert answer["counts"] == {"oauth.v2.access": 1, "users.info": 1}
        assert answer["last"][1]["arguments"] == {"user": ANN}
        assert answer["last"][0]["arguments"]["code"] == "[hidden]"
        assert "xox" not in json.dumps(answer)

    def test_a_cross_site_form_is_rejected(self, server: SandboxServer, slack: Sandbox) -> None:
        assert request(f"{server.url}/sandbox/faults", b"kind=latency", FORM).status == 400
        assert slack.faults.all() == []


def _until(condition: Callable[[], bool]) -> None:
    """Wait for progress of another thread that cannot notify this one."""
    pause, deadline = threading.Event(), time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.005)
