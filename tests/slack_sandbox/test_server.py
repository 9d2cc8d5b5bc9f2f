"""The server: start, stop, concurrency, and ``python -m slack_sandbox``."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from slack_sdk import WebClient

from slack_sandbox import AppConfig, ManifestError, Sandbox, SandboxServer
from slack_sandbox.seed import ACME, ANN, BEN
from slack_sandbox.world import World
from tests.forked_python import ForkedPython, run_forked
from tests.slack_sandbox.conftest import MANIFEST, Installer, MakeServer
from tests.slack_sandbox.fake_app import FakeApp

ROOT = Path(__file__).parents[2]


def test_app_url_replaces_the_origin_of_manifest_urls(slack: Sandbox, app: FakeApp) -> None:
    config = slack.config
    assert config.redirect_urls == (f"{app.url}/slack/oauth_redirect",)
    assert config.events_url == config.interactivity_url == f"{app.url}/slack/events"
    command = config.find_command("/profile")
    assert command is not None
    assert (command.url, command.usage_hint) == (f"{app.url}/slack/events", "[refresh]")
    slack.set_app_url("https://elsewhere.example:8443")
    assert slack.config.redirect_urls == ("https://elsewhere.example:8443/slack/oauth_redirect",)


def test_repr_contains_no_secrets(slack: Sandbox) -> None:
    shown = repr(slack.config)
    assert slack.config.client_secret not in shown
    assert slack.config.signing_secret not in shown


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"display_information": {"name": ""}},
        {"settings": 1},
        {**MANIFEST, "settings": {"socket_mode_enabled": True}},
        {**MANIFEST, "oauth_config": {"scopes": {"bot_optional": ["files:write"]}}},
        {**MANIFEST, "features": {"slash_commands": [{"command": "/x"}]}},
        {**MANIFEST, "features": {"slash_commands": [{"url": "https://example.com/"}]}},
    ],
)
def test_an_invalid_manifest_is_rejected(manifest: dict[str, object]) -> None:
    with pytest.raises(ManifestError):
        AppConfig.from_manifest(
            manifest, app_url="http://x", client_id="", client_secret="", signing_secret=""
        )


def test_threads_are_reused(server: SandboxServer) -> None:
    def ask_often(_: int) -> None:
        for _ in range(20):
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
            connection.request("POST", "/api/auth.test", headers={"Connection": "close"})
            assert json.load(connection.getresponse())["error"] == "not_authed"
            connection.close()

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask_often, range(4)))
    workers = [thread for thread in threading.enumerate() if thread.name == "sandbox connections"]
    assert 0 < len(workers) <= 20


def test_connections_are_persistent_until_the_stop(make_server: MakeServer) -> None:
    server = make_server()
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    for _ in range(3):
        connection.request("POST", "/api/auth.test")
        answer = connection.getresponse()
        assert json.load(answer)["error"] == "not_authed"
        assert not answer.will_close
    server.stop()
    server.stop()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        connection.request("POST", "/api/auth.test")


def test_stopping_a_server_that_never_started(slack: Sandbox) -> None:
    SandboxServer(slack.config).stop()


def test_concurrent_calls(installer: Installer, slack: Sandbox, server: SandboxServer) -> None:
    slack.limits.enabled = False
    token = installer.install()["access_token"]

    def call(index: int) -> str:
        client = WebClient(token=token, base_url=f"{server.url}/api/")
        user = ANN if index % 2 else BEN
        found = client.users_info(user=user)["user"]["id"]
        assert found == user
        return str(client.chat_postMessage(channel=user, text=str(index))["ts"])

    with ThreadPoolExecutor(8) as pool:
        stamps = list(pool.map(call, range(40)))
    assert len(set(stamps)) == 40
    assert len(slack.messages(slack.app_dm(ACME, ANN).id)) == 20


def test_waiting_for_a_change(slack: Sandbox, general: str) -> None:
    version = slack.version
    assert slack.wait_for_change(version, 0) == version
    slack.post_as(ANN, general, "hello")
    assert slack.wait_for_change(version, 5) > version


class TestCommandLine:
    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Path:
        path = tmp_path / "manifest.yml"
        path.write_text(yaml.safe_dump(MANIFEST))
        return path

    def _command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "slack_sandbox", *map(str, arguments)]

    def test_run_passes_credentials_and_returns_the_exit_status(self, manifest: Path) -> None:
        """The real command in a new interpreter, which the other tests fork."""
        names = (
            "SLACK_CLIENT_ID",
            "SLACK_CLIENT_SECRET",
            "SLACK_SIGNING_SECRET",
            "SLACK_BASE_URL",
            "HOST",
            "PORT",
            "PUBLIC_URL",
        )
        script = (
            "import json, os, sys, urllib.request\n"
            f"print(json.dumps([os.environ[name] for name in {names!r}]))\n"
            "urllib.request.urlopen(os.environ['SLACK_BASE_URL'] + '/sandbox/calls').close()\n"
            "sys.exit(7)\n"
        )
        done = subprocess.run(  # noqa: S603
            self._command(
                *("--port", "0", "--manifest", manifest, "--app-url", "http://127.0.0.1:3456"),
                *("--run", sys.executable, "-c", script),
            ),
            cwd=ROOT,
            env={**os.environ, "HOST": "set-already"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 7, done.stderr
        assert "this is not Slack" in done.stdout.splitlines()[0]
        values = dict(zip(names, json.loads(done.stdout.splitlines()[1]), strict=True))
        assert values["SLACK_BASE_URL"] in done.stdout.splitlines()[0]
        assert (values["HOST"], values["PORT"]) == ("set-already", "3456")
        assert values["PUBLIC_URL"] == "http://127.0.0.1:3456"
        assert len({values[name] for name in names[:3]}) == 3
        assert done.stderr == ""

    def test_install_passes_a_bot_token_in_place_of_oauth_credentials(self, manifest: Path) -> None:
        script = (
            "import os\n"
            "from slack_sdk import WebClient\n"
            "url = os.environ['SLACK_BASE_URL'] + '/api/'\n"
            "answer = WebClient(os.environ['SLACK_BOT_TOKEN'], url).auth_test()\n"
            "print(answer['team_id'], [name for name in os.environ if 'SLACK_CLIENT' in name])\n"
        )
        done = run_forked(
            self._command(
                *("--port", "0", "--manifest", manifest, "--install"),
                *("--run", sys.executable, "-c", script),
            ),
            env={**os.environ, "SLACK_CLIENT_ID": "1.1", "SLACK_CLIENT_SECRET": "inherited"},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[1] == f"{ACME} []"

    def test_run_forwards_signals(self, manifest: Path) -> None:
        script = (
            "import signal, sys\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
            "print('ready', flush=True)\n"
            "signal.pause()\n"
        )
        command = self._command(
            "--port", "0", "--manifest", manifest, "--run", sys.executable, "-c", script
        )
        with ForkedPython(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while process.stdout.readline().strip() != "ready":
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 5

    def test_the_sandbox_stops_on_a_signal(self, manifest: Path) -> None:
        command = self._command("--port", "0", "--manifest", manifest, "--latency-ms", "1")
        with ForkedPython(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert "http://127.0.0.1:" in process.stdout.readline()
            printed = [process.stdout.readline().partition("=")[0] for _ in range(7)]
            assert {"SLACK_CLIENT_ID", "SLACK_SIGNING_SECRET", "SLACK_BASE_URL"} <= set(printed)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0

    @pytest.mark.slow
    def test_errors_are_a_single_line(self, manifest: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.yml"
        broken.write_text("{")
        botless = tmp_path / "user_scopes_only.yml"
        oauth = {"oauth_config": {"scopes": {"user": ["users:read"]}}}
        botless.write_text(yaml.safe_dump(MANIFEST | oauth))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            cases: list[tuple[list[str | Path], str]] = [
                (["--manifest", tmp_path / "none.yml"], "No such file"),
                (["--manifest", broken], "is not YAML"),
                (["--manifest", manifest, "--port", port], "Choose another --port"),
                (["--manifest", botless, "--port", "0", "--install"], "no bot scopes"),
                (["--manifest", manifest, "--app-url", "x"], "must be an http or https URL"),
                (
                    ["--manifest", manifest, "--port", "0", "--run", "no-such-program"],
                    "cannot start no-such-program",
                ),
            ]
            for arguments, words in cases:
                done = run_forked(self._command(*arguments))
                assert done.returncode == 1
                assert words in done.stderr
                assert len(done.stderr.splitlines()) == 1


def test_ids_are_unique() -> None:
    world = World()

    assert len({world.next_id("C") for _ in range(3000)}) == 3000
