"""Calls to Slack: connection reuse, timeouts, single sends and exact errors."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from bolt_app.http_loop import HttpLoop
from bolt_app.manifest import load_manifest
from bolt_app.slack_api import NotSentError, SlackApi, SlackCallError, client
from slack_sandbox import AppConfig, SandboxServer
from tests.certificates import self_signed
from tests.peers import Serve, StartPeer
from tests.people import ANN, GENERAL
from tests.running import CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET

HOST = "127.0.0.1"
TIMEOUT = 0.5
# Tolerates a loaded machine; a peer that drips would block a call forever.
LATEST = 5.0
OK = {"ok": True}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the loopback address, with its key, in one file."""
    return self_signed(HOST, tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def stand_in(server_tls: ssl.SSLContext) -> Iterator[SandboxServer]:
    """The stand-in for Slack over TLS, without rate limits."""
    app_url = "https://bellhop.example.com"
    config = AppConfig.from_manifest(
        load_manifest(app_url),
        app_url=app_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        signing_secret=SIGNING_SECRET,
    )
    with SandboxServer(config, tls=server_tls) as running:
        running.sandbox.limits.enabled = False
        yield running


def api_of(port: int, http: HttpLoop, timeout: float = 10) -> SlackApi:
    return SlackApi(f"http://{HOST}:{port}/api/", http, timeout=timeout)


def read_request(connection: socket.socket) -> bytes:
    """Return a request with its body; b"" if the connection ended first."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65536)
        if not piece:
            return b""
        read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer_of(
    body: object, status: str = "200 OK", kind: str = "application/json", headers: str = ""
) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(data)}"
    return f"{head}\r\n\r\n".encode() + data


class Script:
    """Answers the requests of all connections in turn; None closes the connection instead."""

    def __init__(self, *answers: bytes | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)

    def __call__(self, connection: socket.socket) -> None:
        self.connections += 1
        with closing(connection):
            while request := read_request(connection):
                self.requests.append(request)
                answer = self._answers.pop(0)
                if answer is None:
                    return
                connection.sendall(answer)

    @property
    def bodies(self) -> list[Any]:
        """The received requests."""
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]


def failure(call: Callable[[], object]) -> SlackCallError:
    with pytest.raises(SlackCallError) as caught:
        call()
    return caught.value


class TestConnections:
    @pytest.mark.slow
    def test_a_thousand_posts_use_no_more_than_the_pool(
        self, http: HttpLoop, stand_in: SandboxServer, trusting: ssl.SSLContext
    ) -> None:
        api = SlackApi(f"{stand_in.url}/api/", http, tls=trusting)
        token = install(stand_in, api)
        api.call(token, "conversations.join", channel=GENERAL)
        at_once = 8

        with ThreadPoolExecutor(at_once) as threads:
            posts = [
                threads.submit(api.call, token, "chat.postMessage", channel=GENERAL, text=str(item))
                for item in range(1000)
            ]
            answers = [post.result() for post in posts]

        assert len({answer["ts"] for answer in answers}) == 1000
        assert len(stand_in.sandbox.messages(GENERAL)) == 1000
        assert stand_in.connections <= at_once

    def test_the_pool_is_bounded_and_waiting_for_it_sends_nothing(
        self, http: HttpLoop, start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "MOST_CONNECTIONS", 3)
        sent_at: list[float] = []

        def hang(connection: socket.socket) -> None:
            while read_request(connection):
                sent_at.append(time.monotonic())

        api = api_of(start_peer(hang), http, TIMEOUT)

        async def call_all() -> list[object]:
            calls = [api.call_async("xoxb", "chat.postMessage") for _ in range(4)]
            return list(await asyncio.gather(*calls, return_exceptions=True))

        errors = http.run(call_all(), 10)

        in_doubt = [error.ambiguous for error in errors if isinstance(error, SlackCallError)]
        assert in_doubt[:3] == [True, True, True]
        # On a slow machine the fourth gets a connection just before its own deadline.
        assert [at - sent_at[0] for at in sent_at[3:] if at - sent_at[0] < TIMEOUT / 2] == []
        assert (len(in_doubt), in_doubt.count(True)) == (4, len(sent_at))

    def test_idle_connections_are_dropped(
        self, http: HttpLoop, start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "IDLE_SECONDS", 0.05)
        dropped = threading.Event()

        def serve(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(answer_of(OK))
            assert read_request(connection) == b""
            dropped.set()

        api_of(start_peer(serve), http).call("xoxb", "auth.test")

        assert dropped.wait(30)

    def test_a_connection_that_was_closed_while_idle_is_not_used(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        closed = threading.Event()
        requests: list[bytes] = []

        def serve(connection: socket.socket) -> None:
            requests.append(read_request(connection))
            connection.sendall(answer_of(OK))
            connection.close()
            closed.set()

        api = api_of(start_peer(serve), http)
        api.call("xoxb", "auth.test")
        assert closed.wait(30)
        # The loop has processed the end of the stream by then.
        http.run(iterations(5), 10)

        assert api.call("xoxb", "auth.test") == OK
        assert len(requests) == 2

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_child_has_connections_of_its_own(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        script = Script(*[answer_of({"ok": True, "number": item}) for item in range(4)])
        api = api_of(start_peer(script), http)
        assert api.call("xoxb", "auth.test")["number"] == 0

        assert in_a_child(lambda: api.call("xoxb", "auth.test")["number"]) == 1
        assert api.call("xoxb", "auth.test")["number"] == 2
        assert script.connections == 2


class TestFailures:
    @pytest.mark.parametrize("is_reused", [False, True])
    def test_a_request_that_was_read_and_not_answered_is_ambiguous_and_not_repeated(
        self, http: HttpLoop, start_peer: StartPeer, is_reused: bool
    ) -> None:
        script = Script(*[answer_of(OK)] * is_reused, None, answer_of(OK))
        api = api_of(start_peer(script), http)
        if is_reused:
            api.call("xoxb", "chat.postMessage", text="before")

        error = failure(lambda: api.call("xoxb", "chat.postMessage", text="once"))

        assert (error.code, error.ambiguous) == ("unavailable", True)
        assert sum(b"once" in request for request in script.requests) == 1
        assert script.connections == 1
        # It would have arrived before this one.
        assert api.call("xoxb", "chat.postMessage", text="after") == OK
        assert sum(b"once" in request for request in script.requests) == 1

    def test_a_refused_connection_is_not_ambiguous(self, http: HttpLoop) -> None:
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]

        error = failure(lambda: api_of(port, http).call("xoxb", "chat.postMessage"))

        assert (error.code, error.ambiguous) == ("unavailable", False)

    def test_an_untrusted_certificate_is_rejected_before_sending(
        self, http: HttpLoop, stand_in: SandboxServer
    ) -> None:
        api = SlackApi(f"{stand_in.url}/api/", http)

        error = failure(lambda: api.call("xoxb-secret", "auth.test"))

        assert (error.code, error.ambiguous) == ("unavailable", False)
        assert stand_in.connections == 1
        assert stand_in.sandbox.calls_to("auth.test") == []

    def test_a_peer_that_never_finishes_the_handshake_is_not_ambiguous(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        def listen(connection: socket.socket) -> None:
            while connection.recv(65536):
                pass

        api = SlackApi(f"https://{HOST}:{start_peer(listen)}/api/", http, timeout=TIMEOUT)

        assert not failure(lambda: api.call("xoxb", "auth.test")).ambiguous

    @pytest.mark.parametrize(
        "data",
        [b"HTTP/1.1 200 ", answer_of(b" " * 1000), b"HTTP/1.1 100 Continue\r\n\r\n"],
        ids=["status", "body", "continue"],
    )
    def test_a_peer_that_drips_does_not_extend_the_deadline(
        self, http: HttpLoop, start_peer: StartPeer, data: bytes
    ) -> None:
        api = api_of(start_peer(drip(data)), http, TIMEOUT)
        began = time.monotonic()

        error = failure(lambda: api.call("xoxb", "chat.postMessage"))

        assert (error.code, error.ambiguous) == ("unavailable", True)
        assert TIMEOUT <= time.monotonic() - began < LATEST

    def test_a_redirect_is_not_followed(self, http: HttpLoop, start_peer: StartPeer) -> None:
        redirect = answer_of(OK, "307 Temporary Redirect", headers="Location: /elsewhere\r\n")
        script = Script(redirect, answer_of(OK))

        error = failure(lambda: api_of(start_peer(script), http).call("xoxb", "chat.postMessage"))

        assert (error.code, error.ambiguous) == ("unavailable", True)
        assert len(script.requests) == 1

    def test_bytes_of_a_file_follow_no_redirect(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        redirect = answer_of(OK, "307 Temporary Redirect", headers="Location: /elsewhere\r\n")
        script = Script(redirect, answer_of(OK))
        port = start_peer(script)
        url = f"http://{HOST}:{port}/upload"

        async def data() -> AsyncIterator[bytes]:
            yield b"secret"

        status = http.run(api_of(port, http).upload_to(url, data(), len(b"secret")), LATEST)

        assert (status, len(script.requests)) == (307, 1)

    @pytest.mark.parametrize(
        ("answer", "code", "ambiguous"),
        [
            (answer_of({"ok": False, "error": "is_archived"}), "is_archived", False),
            (answer_of({"ok": False, "error": "internal_error"}), "internal_error", True),
            (answer_of({"ok": False, "error": "fatal_error"}), "fatal_error", True),
            (
                answer_of({"ok": False, "error": "service_unavailable"}),
                "service_unavailable",
                False,
            ),
            (answer_of({"ok": False, "error": "Failed: xoxb-1"}), "unavailable", True),
            (answer_of({"ok": False}), "unavailable", True),
            (answer_of([1]), "unavailable", True),
            (answer_of(b"{", "200 OK"), "unavailable", True),
            (answer_of(b"ok", kind="text/plain"), "unavailable", True),
            (answer_of(b"\xff", kind="text/plain; charset=utf-8"), "unavailable", True),
            (answer_of(b"<html>", "502 Bad Gateway", "text/html"), "unavailable", True),
            (answer_of(b"no", "503 Unavailable", "text/plain"), "unavailable", True),
            (answer_of({"error": "fatal_error"}, "500 Error"), "fatal_error", True),
            (answer_of({"error": "not_authed"}, "500 Error"), "unavailable", True),
            (answer_of(b"not HTTP")[9:], "unavailable", True),
        ],
    )
    def test_answers(
        self, http: HttpLoop, start_peer: StartPeer, answer: bytes, code: str, ambiguous: bool
    ) -> None:
        api = api_of(start_peer(Script(answer)), http)

        error = failure(lambda: api.call("xoxb", "chat.postMessage"))

        assert (error.code, error.ambiguous) == (code, ambiguous)

    @pytest.mark.parametrize("body", [{"ok": False, "error": "ratelimited"}, b"{", b""])
    @pytest.mark.parametrize("kind", ["application/json", "text/plain"])
    def test_too_many_requests(
        self, http: HttpLoop, start_peer: StartPeer, body: object, kind: str
    ) -> None:
        answer = answer_of(body, "429 Too Many Requests", kind, "retry-after: 17\r\n")

        error = failure(lambda: api_of(start_peer(Script(answer)), http).call("x", "views.open"))

        assert (error.code, error.retry_after, error.ambiguous) == ("ratelimited", 17, False)


class TestRequests:
    @pytest.mark.parametrize(
        ("arguments", "sent"),
        [
            (
                {"channel": "C1", "text": "a&b é", "limit": 200, "all": True, "no": False},
                {"channel": "C1", "text": "a&b é", "limit": "200", "all": "1", "no": "0"},
            ),
            ({"channel": "C1", "ts": None}, {"channel": "C1"}),
            ({}, {}),
        ],
    )
    def test_simple_arguments_are_sent_as_a_form(
        self,
        http: HttpLoop,
        start_peer: StartPeer,
        arguments: Mapping[str, Any],
        sent: Mapping[str, str],
    ) -> None:
        script = Script(answer_of(OK))

        api_of(start_peer(script), http).call("xoxb-1", "chat.postMessage", **arguments)

        head, _, body = script.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /api/chat.postMessage HTTP/1.1\r\n")
        assert b"\r\nAuthorization: Bearer xoxb-1" in head
        assert {name: one for name, [one] in parse_qs(body.decode()).items()} == sent

    def test_blocks_are_sent_as_json(self, http: HttpLoop, start_peer: StartPeer) -> None:
        script = Script(answer_of(OK))
        blocks = [{"type": "divider"}]

        api_of(start_peer(script), http).call(None, "views.open", blocks=blocks, all=True, ts=None)

        assert script.bodies == [{"blocks": blocks, "all": True}]
        assert b"\r\nContent-Type: application/json" in script.requests[0]
        assert b"Authorization" not in script.requests[0]

    def test_cookies_are_not_kept(self, http: HttpLoop, start_peer: StartPeer) -> None:
        script = Script(answer_of(OK, headers="Set-Cookie: b=1\r\n"), answer_of(OK))
        api = api_of(start_peer(script), http)
        for _ in range(2):
            api.call("xoxb", "auth.test")

        assert b"cookie" not in script.requests[1].lower()

    def test_the_proxy_of_the_environment_is_used(
        self, http: HttpLoop, start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = Script(answer_of(OK), answer_of(OK))
        monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{start_peer(script)}")
        api = SlackApi("http://slack.example/api/", http)

        api.call("xoxb", "auth.test")
        assert api.post_to("http://hooks.slack.example/1", {"text": "hello"}) == 200

        assert [request.split(b" ")[1] for request in script.requests] == [
            b"http://slack.example/api/auth.test",
            b"http://hooks.slack.example/1",
        ]

    def test_hosts_that_need_no_proxy_are_called_directly(
        self, http: HttpLoop, start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script, proxy = Script(answer_of(OK)), Script()
        monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{start_peer(proxy)}")
        monkeypatch.setenv("NO_PROXY", HOST)

        api_of(start_peer(script), http).call("xoxb", "auth.test")

        assert (len(script.requests), proxy.connections) == (1, 0)


class TestBeforeRequest:
    """The last check before a request that changes something."""

    def test_it_runs_when_the_connection_is_there_and_nothing_was_sent(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        connected, steps = threading.Event(), []

        def serve(connection: socket.socket) -> None:
            connected.set()
            while read_request(connection):
                steps.append("request")
                connection.sendall(answer_of(OK))

        async def check() -> None:
            assert await asyncio.to_thread(connected.wait, 30)
            steps.append("check")

        api = api_of(start_peer(serve), http)
        for _ in range(2):
            http.run(api.call_async("xoxb", "chat.postMessage", before_request=check), 10)

        assert steps == ["check", "request"] * 2

    @pytest.mark.parametrize("is_reused", [False, True])
    def test_it_stops_the_call_with_nothing_sent(
        self, http: HttpLoop, start_peer: StartPeer, is_reused: bool
    ) -> None:
        script = Script(answer_of(OK), answer_of(OK))
        api = api_of(start_peer(script), http)
        if is_reused:
            api.call("xoxb", "chat.postMessage", text="before")

        async def check() -> None:
            raise NotSentError("the lane has another owner")

        with pytest.raises(NotSentError):
            http.run(api.call_async("xoxb", "chat.update", ts="1", before_request=check), 10)

        assert api.call("xoxb", "chat.postMessage", text="after") == OK
        assert not any(b"chat.update" in request for request in script.requests)

    def test_a_mistake_in_it_is_not_taken_for_a_failure_of_slack(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        script = Script()
        api = api_of(start_peer(script), http)

        async def check() -> None:
            raise AttributeError

        with pytest.raises(AttributeError):
            http.run(api.call_async("xoxb", "chat.postMessage", before_request=check), 10)
        assert script.requests == []

    def test_an_unanswered_check_counts_against_the_deadline(
        self, http: HttpLoop, start_peer: StartPeer
    ) -> None:
        script = Script(answer_of(OK))
        api = api_of(start_peer(script), http, TIMEOUT)

        async def check() -> None:
            await asyncio.Event().wait()

        call = api.call_async("xoxb", "chat.postMessage", before_request=check)
        error = failure(lambda: http.run(call, 10))

        assert (error.code, error.ambiguous) == ("unavailable", False)
        assert script.requests == []


def install(stand_in: SandboxServer, api: SlackApi) -> str:
    """Install the app as a person would and return the bot's token."""
    redirect = f"{stand_in.sandbox.config.app_url}/slack/oauth_redirect"
    address = (
        f"{stand_in.url}/oauth/v2/authorize?client_id={CLIENT_ID}&state=1"
        f"&scope=chat:write,channels:join&redirect_uri={redirect}"
    )
    code = parse_qs(stand_in.sandbox.authorize(ANN, address).partition("?")[2])["code"][0]
    answer = api.call(
        None,
        "oauth.v2.access",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        code=code,
        redirect_uri=redirect,
    )
    return str(answer["access_token"])


def drip(data: bytes) -> Serve:
    """Return a handler that keeps sending single bytes, each within a read timeout."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        while True:
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(TIMEOUT / 20)

    return serve


async def iterations(count: int) -> None:
    """Let the loop look for events that often."""
    for _ in range(count):
        await asyncio.sleep(0)


def in_a_child(work: Callable[[], int]) -> int:
    """Return the exit status of a forked child: the result of `work`."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
