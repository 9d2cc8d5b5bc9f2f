"""Token rotation from install to uninstall, against the stand-in for Slack."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bolt_app.db import Database
from bolt_app.http_loop import HttpLoop
from bolt_app.installations.tokens.grants import TokenRequest
from bolt_app.manifest import load_manifest, load_scopes
from bolt_app.slack_api import SlackApi, SlackCallError
from slack_sandbox import AppConfig, SandboxServer
from slack_sandbox.seed import ACME, ANN
from tests.conftest import FakeClock
from tests.installations.conftest import CLIENT_SECRET, HOUR, Tokens
from tests.installations.fake_slack import FakeSlack
from tests.installations.installing import CLIENT_ID

APP_URL = "http://127.0.0.1:3000"
REDIRECT_URI = f"{APP_URL}/slack/oauth_redirect"


@pytest.fixture
def stand_in(clock: FakeClock) -> Iterator[SandboxServer]:
    config = AppConfig.from_manifest(
        load_manifest(APP_URL),
        app_url=APP_URL,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        signing_secret="signing-secret",
        token_rotation=True,
    )
    with SandboxServer(config, clock=clock.timestamp) as running:
        yield running


@pytest.fixture
def tokens(database: Database, stand_in: SandboxServer, clock: FakeClock, http: HttpLoop) -> Tokens:
    return Tokens(database, FakeSlack(f"{stand_in.url}/api/"), clock, http)


@pytest.fixture
def token_request(tokens: Tokens, stand_in: SandboxServer, clock: FakeClock) -> TokenRequest:
    """Install for Ann and return her token request."""
    scopes = load_scopes()
    query = urlencode(
        {
            "client_id": CLIENT_ID,
            "scope": ",".join(scopes.bot),
            "user_scope": ",".join(scopes.user),
            "redirect_uri": REDIRECT_URI,
            "state": "state",
        }
    )
    callback = stand_in.sandbox.authorize(ANN, f"{stand_in.url}/oauth/v2/authorize?{query}")
    answer = tokens.api.call(
        None,
        "oauth.v2.access",
        code=parse_qs(urlsplit(callback).query)["code"][0],
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=REDIRECT_URI,
    )
    person = answer["authed_user"]
    expires_at = int(clock.timestamp()) + answer["expires_in"]
    tokens.install(
        person["id"],
        team_id=answer["team"]["id"],
        bot_token=answer["access_token"],
        bot_refresh_token=answer["refresh_token"],
        bot_token_expires_at=expires_at,
        user_token=person["access_token"],
        user_refresh_token=person["refresh_token"],
        user_token_expires_at=expires_at,
    )
    return TokenRequest(None, answer["team"]["id"], person["id"])


def pair(tokens: Tokens, token_request: TokenRequest) -> tuple[str, str]:
    grant = tokens.grants.find(token_request)
    assert grant is not None
    assert grant.bot_token is not None
    assert grant.user_token is not None
    return grant.bot_token, grant.user_token


def lives(api: SlackApi, token: str) -> bool:
    try:
        return bool(api.call(token, "auth.test")["ok"])
    except SlackCallError:
        return False


def test_tokens_live_on_for_days(
    tokens: Tokens, token_request: TokenRequest, clock: FakeClock
) -> None:
    assert token_request.team_id == ACME
    seen = {pair(tokens, token_request)}
    for _ in range(5):
        clock.advance(11 * HOUR)  # due, and still valid
        pair(tokens, token_request)
        tokens.executor.run()
        seen.add(pair(tokens, token_request))
        assert all(lives(tokens.api, token) for token in pair(tokens, token_request))

    assert len(seen) == 6


def test_tokens_come_back_after_a_weekend(
    tokens: Tokens, token_request: TokenRequest, clock: FakeClock
) -> None:
    before = pair(tokens, token_request)
    clock.advance(60 * HOUR)
    after = pair(tokens, token_request)

    assert not any(lives(tokens.api, token) for token in before)
    assert all(lives(tokens.api, token) for token in after)


def test_after_an_uninstall_in_slack_the_refresh_is_refused(
    tokens: Tokens, token_request: TokenRequest, stand_in: SandboxServer, clock: FakeClock
) -> None:
    stand_in.sandbox.uninstall(ACME)
    clock.advance(60 * HOUR)

    grant = tokens.grants.find(token_request)

    assert grant is not None
    assert (grant.bot_token, grant.user_token) == (None, None)
    assert grant.bot_invalid_reason is not None
