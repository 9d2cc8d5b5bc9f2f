"""Fixtures for stored tokens, with a fake Slack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from bolt_app.db import Database
from bolt_app.http_loop import HttpLoop
from bolt_app.installations.records import Grant, StoredInstallation
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.installations.tokens.grants import Grants
from bolt_app.installations.tokens.refresh_leases import RefreshLeases, TokenOwner
from bolt_app.installations.tokens.rotation import TokenRotator
from bolt_app.slack_api import SlackApi
from bolt_app.workspaces.client import WorkspaceClient
from bolt_app.workspaces.rate_limits import RateLimits
from tests.conftest import FakeClock
from tests.installations.fake_slack import FakeSlack, fake_slack
from tests.installations.installing import CLIENT_ID, Store, an_installation

CLIENT_SECRET = "client-secret"
BOT = TokenOwner(None, "T1")
PERSON = TokenOwner(None, "T1", "U1")
HOUR = 3600


class FakeExecutor(Executor):
    """Collects work until a test runs it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.waiting.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        """Run the waiting work."""
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()


@dataclass
class Tokens:
    """The token classes of one process, on one database and one Slack."""

    database: Database
    slack: FakeSlack
    clock: FakeClock
    http: HttpLoop
    waits: list[float] = field(default_factory=list)
    on_wait: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.api = SlackApi(self.slack.url, self.http)
        self.store = Store(CLIENT_ID, self.database, clock=self.clock)
        self.leases = RefreshLeases(self.database, self.store.rows, clock=self.clock)
        self.rotator = TokenRotator(
            self.leases,
            self.api,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            clock=self.clock,
            wait=self._wait,
        )
        self.executor = FakeExecutor()
        self.grants = Grants(self.store.reader, self.rotator, self.executor)
        self.client = WorkspaceClient(
            self.store.directory,
            self.store.invalid_tokens,
            GrantCache(self.grants),
            self.api,
            RateLimits(self.database, clock=self.clock),
        )

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.on_wait()

    def install(self, user_id: str = "U1", *, lives: float | None = None, **changes: Any) -> None:
        """Store an installation whose tokens expire in `lives` seconds, or never."""
        rotating: dict[str, Any] = {}
        if lives is not None:
            expires_at = int((self.clock() + timedelta(seconds=lives)).timestamp())
            rotating = {
                "bot_refresh_token": "xoxe-1-bot-1",
                "bot_token_expires_at": expires_at,
                "user_refresh_token": f"xoxe-1-{user_id}-1",
                "user_token_expires_at": expires_at,
            }
        self.store.save(an_installation(user_id, **{**rotating, **changes}))

    def grant(self, user_id: str | None = "U1") -> Grant:
        """Return the stored grant of one person."""
        found = self.store.reader.find(enterprise_id=None, team_id="T1", user_id=user_id)
        assert found is not None
        return found

    def stored(self, user_id: str = "U1") -> StoredInstallation:
        """Return one person's installation."""
        found = self.store.directory.find(enterprise_id=None, team_id="T1", user_id=user_id)
        assert found is not None
        return found

    def refreshes(self) -> int:
        """Return how often Slack was asked to refresh a token."""
        return len(self.slack.calls("oauth.v2.access"))


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack() as running:
        yield running


@pytest.fixture
def tokens(database: Database, slack: FakeSlack, clock: FakeClock, http: HttpLoop) -> Tokens:
    return Tokens(database, slack, clock, http)
