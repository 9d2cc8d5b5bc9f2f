"""Fixtures: a running sandbox, an app, and a clock under the tests' control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from slack_sdk import WebClient

from slack_sandbox import AppConfig, Sandbox, SandboxServer
from slack_sandbox.seed import ACME, ANN
from tests.slack_sandbox.fake_app import SIGNING_SECRET, FakeApp

CLIENT_ID = "1111111111.222222222222"
CLIENT_SECRET = "c1ient5ecret"
BOT_SCOPES = (
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "commands",
    "groups:read",
    "im:write",
    "links:read",
    "links:write",
    "team:read",
    "users:read",
    "users:read.email",
)
USER_SCOPES = ("users:read", "users:read.email")

MANIFEST: dict[str, Any] = {
    "display_information": {"name": "Testbell"},
    "features": {
        "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True},
        "bot_user": {"display_name": "testbell"},
        "unfurl_domains": ["links.example"],
        "shortcuts": [
            {"name": "Link", "type": "message", "callback_id": "link", "description": "A link"},
            {"name": "Ask", "type": "global", "callback_id": "request", "description": "Anywhere"},
        ],
        "slash_commands": [
            {
                "command": "/profile",
                "url": "https://example.com/slack/events",
                "description": "Your profile",
                "usage_hint": "[refresh]",
            },
            {
                "command": "/escaped",
                "url": "https://example.com/slack/events",
                "description": "With mentions",
                "should_escape": True,
            },
        ],
    },
    "oauth_config": {
        "redirect_urls": ["https://example.com/slack/oauth_redirect"],
        "scopes": {"bot": list(BOT_SCOPES), "user": list(USER_SCOPES)},
    },
    "settings": {
        "event_subscriptions": {
            "request_url": "https://example.com/slack/events",
            "bot_events": [
                "app_home_opened",
                "app_uninstalled",
                "channel_archive",
                "channel_rename",
                "function_executed",
                "link_shared",
                "message.channels",
                "team_domain_change",
                "team_rename",
                "tokens_revoked",
                "user_change",
            ],
        },
        "interactivity": {"is_enabled": True, "request_url": "https://example.com/slack/events"},
        "org_deploy_enabled": True,
        "function_runtime": "remote",
    },
    "functions": {
        "greet": {
            "title": "Greet",
            "description": "Says hello",
            "input_parameters": {
                "name": {"type": "string", "name": "name", "title": "Name", "is_required": True}
            },
            "output_parameters": {
                "greeting": {"type": "string", "name": "greeting", "is_required": True}
            },
        }
    },
}


class FakeClock:
    """A clock that advances only through :meth:`move`."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


class Installer:
    """Installs the app through OAuth, as a browser and an app do."""

    def __init__(self, server: SandboxServer) -> None:
        self.slack = server.sandbox
        self.url = server.url
        self.client = WebClient(base_url=f"{server.url}/api/")

    @property
    def redirect_uri(self) -> str:
        """The app's redirect URL."""
        return f"{self.slack.config.app_url}/slack/oauth_redirect"

    def authorize_url(self, **changes: str) -> str:
        """A URL of the authorize page."""
        query = {
            "client_id": CLIENT_ID,
            "scope": ",".join(BOT_SCOPES),
            "user_scope": ",".join(USER_SCOPES),
            "redirect_uri": self.redirect_uri,
            "state": "state-1",
            **changes,
        }
        return f"{self.url}/oauth/v2/authorize?{urlencode(query)}"

    def code(self, user_id: str = ANN, *, org: bool = False, **changes: str) -> str:
        """The authorization code after Allow."""
        callback = self.slack.authorize(
            user_id, self.authorize_url(**changes), whole_organization=org
        )
        return dict(parse_qsl(urlsplit(callback).query))["code"]

    def install(self, user_id: str = ANN, *, org: bool = False, **changes: str) -> dict[str, Any]:
        """Install the app. Returns the response of ``oauth.v2.access``."""
        answer = self.client.oauth_v2_access(
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            code=self.code(user_id, org=org, **changes),
            redirect_uri=self.redirect_uri,
        )
        data = answer.data
        assert isinstance(data, dict)
        return data


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app() -> Iterator[FakeApp]:
    fake = FakeApp()
    yield fake
    fake.stop()


MakeServer = Callable[..., SandboxServer]


@pytest.fixture
def make_server(app: FakeApp, clock: FakeClock) -> Iterator[MakeServer]:
    servers: list[SandboxServer] = []

    def make(**changes: Any) -> SandboxServer:
        config = AppConfig.from_manifest(
            MANIFEST,
            app_url=app.url,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            signing_secret=SIGNING_SECRET,
            **changes,
        )
        server = SandboxServer(config, clock=clock)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(make_server: MakeServer) -> SandboxServer:
    return make_server()


@pytest.fixture
def slack(server: SandboxServer) -> Sandbox:
    return server.sandbox


@pytest.fixture
def installer(server: SandboxServer) -> Installer:
    return Installer(server)


@pytest.fixture
def bot(server: SandboxServer, installer: Installer) -> WebClient:
    """A client with the bot's token, installed by Ann at Acme."""
    token = installer.install()["access_token"]
    return WebClient(token=token, base_url=f"{server.url}/api/")


@pytest.fixture
def general(slack: Sandbox) -> str:
    """The id of Acme's #general."""
    found = [
        channel.id
        for channel in slack.channels.values()
        if (channel.team_id, channel.name) == (ACME, "general")
    ]
    return found[0]
