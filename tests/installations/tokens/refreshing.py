"""A separate process that refreshes a bot token, and returns the token it uses."""

from __future__ import annotations

import time

from bolt_app.db import Database
from bolt_app.http_loop import HttpLoop
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.tokens.grant_reader import GrantReader
from bolt_app.installations.tokens.refresh_leases import RefreshLeases, TokenOwner
from bolt_app.installations.tokens.rotation import TokenRotator
from bolt_app.slack_api import SlackApi
from tests.installations.installing import CLIENT_ID


def refresh_bot(url: str, encryption_key: str, api_url: str) -> str | None:
    """Refresh the bot token of T1 and return it. Reports each wait to Slack."""
    database = Database(url, [encryption_key])
    http = HttpLoop()
    api = SlackApi(api_url, http)

    def wait(seconds: float) -> None:
        api.call(None, "test.waiting")
        time.sleep(seconds)

    try:
        rows = InstallationRows(CLIENT_ID)
        rotator = TokenRotator(
            RefreshLeases(database, rows),
            api,
            client_id=CLIENT_ID,
            client_secret="client-secret",
            wait=wait,
        )
        rotator.refresh(TokenOwner(None, "T1"))
        grant = GrantReader(database, rows).find(enterprise_id=None, team_id="T1", user_id=None)
        return None if grant is None else grant.bot_token
    finally:
        http.close()
        database.close()
