"""Requests as Slack sends them, signed before the measurement.

https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier

ANN, ACME, GENERAL, APP = "U0ANN00001", "T0ACME0001", "C0ACME0001", "A0BELLHOP01"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class SignedRequest:
    """One request with its signature, which holds for five minutes."""

    content_type: str
    timestamp: str
    signature: str
    body: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that Slack sends with it."""
        return {
            "Content-Type": self.content_type,
            "X-Slack-Request-Timestamp": self.timestamp,
            "X-Slack-Signature": self.signature,
        }


@dataclass(frozen=True)
class Interaction:
    """One kind of request.

    Attributes:
        body: returns a different body for each number.
        answer: a text that each correct answer contains.
    """

    name: str
    content_type: str
    body: Callable[[int], str]
    answer: str


def sign(interaction: Interaction, secret: str, number: int) -> list[SignedRequest]:
    """Return `number` different requests, so that none is a replay."""
    stamp, verifier = str(int(time.time())), SignatureVerifier(secret)
    requests = []
    for index in range(number):
        body = interaction.body(index)
        signature = verifier.generate_signature(timestamp=stamp, body=body)
        requests.append(SignedRequest(interaction.content_type, stamp, str(signature), body))
    return requests


def _command(number: int) -> str:
    return urlencode(
        {
            "command": "/profile",
            "text": "",
            "team_id": ACME,
            "team_domain": "acme",
            "user_id": ANN,
            "user_name": "ann",
            "channel_id": GENERAL,
            "channel_name": "general",
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "trigger_id": f"1.2.{number}",
            "response_url": "http://127.0.0.1:9/never",
        }
    )


def _opened_home(number: int) -> str:
    bot = {"enterprise_id": None, "team_id": ACME, "is_bot": True, "is_enterprise_install": False}
    event = {"type": "app_home_opened", "user": ANN, "channel": "D0ANN00001", "tab": "home"}
    return json.dumps(
        {
            "type": "event_callback",
            "team_id": ACME,
            "api_app_id": APP,
            "event_id": f"Ev{number:010d}",
            "event_time": int(time.time()),
            "authorizations": [bot],
            "event": {**event, "event_ts": f"1.{number}"},
        }
    )


def _pressed_link(number: int) -> str:
    button = {"type": "button", "block_id": "b", "action_id": "link", "url": "https://example.com"}
    payload: dict[str, Any] = {
        "type": "block_actions",
        "team": {"id": ACME, "domain": "acme"},
        "user": {"id": ANN, "team_id": ACME},
        "api_app_id": APP,
        "channel": {"id": GENERAL, "name": "general"},
        "container": {"type": "message", "channel_id": GENERAL, "message_ts": "1.1"},
        "trigger_id": f"1.2.{number}",
        "actions": [button],
    }
    return urlencode({"payload": json.dumps(payload)})


# Both apps mention the person in their answer.
COMMAND = Interaction("`/profile`", FORM, _command, f"<@{ANN}>")
LINK_BUTTON = Interaction("a link button is pressed", FORM, _pressed_link, "")
HOME = Interaction("the App Home is opened", JSON, _opened_home, "")
INTERACTIONS = (COMMAND, LINK_BUTTON, HOME)
