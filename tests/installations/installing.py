"""Installations as Slack hands them out, and ways to store them."""

from __future__ import annotations

from typing import Any

from slack_sdk.oauth.installation_store import Installation

CLIENT_ID = "111.222"


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


def an_organisation_installation(user_id: str = "U1", **changes: Any) -> Installation:
    """Return an installation in a whole organisation; `changes` win."""
    values: dict[str, Any] = {
        "enterprise_id": "E1",
        "enterprise_name": "Acme Group",
        "team_id": None,
        "team_name": None,
        "is_enterprise_install": True,
    }
    return an_installation(user_id, **{**values, **changes})
