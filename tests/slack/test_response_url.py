"""Calls to a `response_url`: only on Slack's own origin, without redirects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bolt_app.config import ROOT
from bolt_app.http_loop import HttpLoop
from bolt_app.slack.response_url import SlackRespond
from bolt_app.slack_api import ResponseUrls, SlackApi, SlackCallError
from tests.people import ACME, ANN
from tests.running import Bellhop, serving
from tests.slack.signing import Bystander, command_body, interaction_body, post_signed
from tests.sources import parsed

SLACK, GOV = "https://slack.com", "https://slack-gov.com"
STAND_IN = "http://127.0.0.1:3100"


def response_urls(http: HttpLoop, base_url: str) -> ResponseUrls:
    return ResponseUrls(base_url, SlackApi(f"{base_url}/api/", http))


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (SLACK, "https://hooks.slack.com/commands/T1/2/abc"),
        (SLACK, "https://hooks.slack.com/actions/T1/2/abc?x=1"),
        (GOV, "https://hooks.slack-gov.com/actions/T1/2/abc"),
        (STAND_IN, "http://127.0.0.1:3100/response/1"),
    ],
)
def test_slacks_own_origin_is_called(http: HttpLoop, base_url: str, url: str) -> None:
    assert response_urls(http, base_url).accepts(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/commands/1",
        "https://slack.com/commands/1",
        "https://hooks.slack-gov.com/commands/1",
        "https://hooks.slack.com",
        "https://hooks.slack.com.example.com/",
        "https://hooks.slack.com@127.0.0.1/",
        "https://hooks.slack.com:443@127.0.0.1/",
        "https://hooks.slack.com:8443/",
        "https://hooks.slack.com\\@127.0.0.1/",
        "https://hooks.slack.com\t@127.0.0.1/",
        "\thttps://hooks.slack.com/1",
        "https://hooks.slack.com/1\r\nHost: x",
        "https://hooks.slack.com/a b",
        "https://hooks.slack.com/é",
        "https://HOOKS.slack.com@example.com/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "//hooks.slack.com/1",
        "",
        None,
        7,
        ["https://hooks.slack.com/1"],
    ],
)
def test_no_other_address_is_called(http: HttpLoop, url: object) -> None:
    urls = response_urls(http, SLACK)

    assert not urls.accepts(url)
    with pytest.raises(SlackCallError):
        urls.post(url, {"text": "hello"})


@pytest.fixture
def redirecting() -> Iterator[Bystander]:
    found = Bystander(leads_to="/inside")
    with serving(found) as (url, _server):
        found.url = url
        yield found


def test_a_redirect_is_not_followed(http: HttpLoop, redirecting: Bystander) -> None:
    urls = response_urls(http, redirecting.url)
    respond = SlackRespond(urls, f"{redirecting.url}/response")

    assert respond(text="hello").status_code == 302
    assert redirecting.calls == ["/response"]


def test_a_message_has_named_parts(http: HttpLoop, redirecting: Bystander) -> None:
    urls = response_urls(http, redirecting.url)
    with pytest.raises(TypeError):
        SlackRespond(urls, f"{redirecting.url}/response")("hello")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "action_id", ["profile.unlink", "profile.keep", "subscriptions.undo", "nobody.listens"]
)
def test_not_even_slacks_signature_leads_elsewhere(
    bellhop: Bellhop, redirecting: Bystander, action_id: str
) -> None:
    bellhop.install(ANN)
    payload = {
        "type": "block_actions",
        "team": {"id": ACME},
        "user": {"id": ANN, "team_id": ACME},
        "actions": [{"type": "button", "action_id": action_id, "block_id": "b", "value": "x"}],
        "response_url": redirecting.url,
    }

    assert post_signed(bellhop, interaction_body(payload)).status != 500
    post_signed(bellhop, command_body("/profile", response_url=redirecting.url))

    bellhop.services.background.shutdown(wait=True)
    assert redirecting.calls == []


# The modules that open connections; each limits its own destinations.
CALLERS = {
    "bolt_app/http_loop.py",  # to none: it owns the sessions of the others
    "bolt_app/slack_api/client.py",  # SLACK_BASE_URL, and what response_urls.py lets through
    "bolt_app/notifications/incidents/callback_addresses.py",  # resolves and checks host names
    "bolt_app/notifications/incidents/callback_http.py",
    "bolt_app/notifications/incidents/callback_sender.py",  # only its errors
    "bolt_app/notifications/delivery/lock_session.py",  # breaks its own connection off
    "bolt_app/notifications/queue/wakeup.py",  # to sockets in a folder of this machine
    "bolt_app/server.py",  # listens
}
CLIENTS = {"urllib.request", "http.client", "socket", "requests", "urllib3", "httpx", "aiohttp"}
CLIENT_NAMES = {"WebhookClient", "AsyncWebhookClient", "WebClient", "urlopen"}


def test_nothing_else_opens_connections() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "bolt_app").rglob("*.py")
        if _opens_connections(path)
    }

    assert found <= CALLERS


def _opens_connections(path: Path) -> bool:
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Import(names=names) if CLIENTS & {name.name for name in names}:
                return True
            case ast.ImportFrom(module=module, names=names):
                if module in CLIENTS or CLIENT_NAMES & {name.name for name in names}:
                    return True
    return False
