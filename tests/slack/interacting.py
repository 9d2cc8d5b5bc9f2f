"""Handmade signed requests for clicks and submitted modals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier
from sqlalchemy import select

from bolt_app.db.models import Base
from tests.people import ACME, ANN, GENERAL
from tests.running import SIGNING_SECRET, Bellhop, Page

# The time of the latest home refresh is not an effect.
# A receipt records that a request was answered, and is not an effect.
_IGNORED = {"home_tabs", "event_receipts"}
VIEW = {"id": "V1", "title": {"type": "plain_text", "text": "A view"}, "blocks": []}


def deliver(bellhop: Bellhop, payload: Mapping[str, Any]) -> Page:
    """Send an interaction payload with Slack's signature."""
    form = {"payload": json.dumps(payload)}
    body, stamp = urlencode(form), str(int(bellhop.clock.timestamp()))
    signature = SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=stamp, body=body)
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
    return bellhop.browser().post("/slack/events", form, headers)


def payload(kind: str, user_id: str = ANN, team_id: str = ACME, **more: Any) -> dict[str, Any]:
    """Return the common part of interaction payloads."""
    return {
        "type": kind,
        "user": {"id": user_id, "team_id": team_id},
        "team": {"id": team_id},
        "trigger_id": "1.2.3",
        **more,
    }


def in_message(channel_id: str = GENERAL, ts: str = "1700000000.000100") -> dict[str, Any]:
    """Return the container of a click in a message."""
    return {
        "container": {"type": "message", "channel_id": channel_id, "message_ts": ts},
        "channel": {"id": channel_id, "name": "general"},
    }


def in_view(kind: str) -> dict[str, Any]:
    """Return the container of a click in a person's home or in a modal."""
    return {"container": {"type": "view", "view_id": "V1"}, "view": {**VIEW, "type": kind}}


def rows(bellhop: Bellhop) -> dict[str, list[Any]]:
    """Return all data that Bellhop has stored."""
    with bellhop.services.database.reading_connection() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in Base.metadata.sorted_tables
            if table.name not in _IGNORED
        }
