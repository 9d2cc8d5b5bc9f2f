"""Installations as Slack grants them, and the classes that store them."""

from __future__ import annotations

from typing import Any

from slack_sdk.oauth.installation_store import Installation

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.installations.rows import InstallationRows
from bolt_app.installations.store import Installations
from bolt_app.installations.tokens.grant_reader import GrantReader
from bolt_app.installations.tokens.invalid_tokens import InvalidTokens

CLIENT_ID = "111.222"


class Store(Installations):
    """The installation store, with the other classes that read and write its rows."""

    def __init__(self, client_id: str, database: Database, *, clock: Clock = utc_now) -> None:
        super().__init__(client_id, database, clock=clock)
        self.rows = InstallationRows(client_id)
        self.directory = InstallationDirectory(database, self.rows)
        self.reader = GrantReader(database, self.rows)
        self.removals = InstallationRemovals(self.rows, clock=clock)
        self.invalid_tokens = InvalidTokens(database, self.rows, clock=clock)


def an_installation(user_id: str = "U1", **changes: Any) -> Installation:
    """Return a workspace installation with a bot and a user token; `changes` win."""
    values: dict[str, Any] = {
        "app_id": "A1",
        "team_id": "T1",
        "team_name": "Acme",
        "user_id": user_id,
        "bot_id": "B1",
        "bot_token": "xoxb-1",
        "bot_scopes": ["chat:write", "commands"],
        "bot_user_id": "UBOT",
        "user_token": f"xoxp-{user_id}",
        "user_scopes": ["users:read"],
    }
    return Installation(**{**values, **changes})


def an_organization_installation(user_id: str = "U1", **changes: Any) -> Installation:
    """Return an installation in a whole organization; `changes` win."""
    values: dict[str, Any] = {
        "enterprise_id": "E1",
        "enterprise_name": "Acme Group",
        "team_id": None,
        "team_name": None,
        "is_enterprise_install": True,
    }
    return an_installation(user_id, **{**values, **changes})
