"""Calls of the Slack-compatible Web API, as a program makes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from slack_sdk import WebClient

from bolt_app.credentials.api_keys import Scope
from tests.people import ACME
from tests.running import Bellhop, Page
from tests.web.calling import put_bot, request

JSON, FORM = "application/json; charset=utf-8", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class MethodCaller:
    """A program with an API key."""

    url: str
    key: str

    def call(self, method: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a method with JSON; return the answer, which must be HTTP 200."""
        page = self.post(method, json.dumps(arguments).encode(), JSON)
        assert page.status == 200, page.text
        answer: dict[str, Any] = page.json()
        return answer

    def ok(self, method: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a method that must succeed."""
        answer = self.call(method, **arguments)
        assert answer["ok"] is True, answer
        return answer

    def error(self, method: str, /, **arguments: Any) -> str:
        """Call a method that must fail; return its error."""
        answer = self.call(method, **arguments)
        assert answer["ok"] is False, answer
        return str(answer["error"])

    def form(self, method: str, /, **arguments: str) -> dict[str, Any]:
        """Call a method with a form."""
        page = self.post(method, urlencode(arguments).encode(), FORM)
        answer: dict[str, Any] = page.json()
        return answer

    def post(self, method: str, body: bytes, content_type: str) -> Page:
        """Make any call."""
        headers = {"Content-Type": content_type}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return request("POST", f"{self.url}/api/{method}", body, headers)

    @property
    def client(self) -> WebClient:
        """Slack's own client, with the base URL as its only change."""
        return WebClient(token=self.key, base_url=f"{self.url}/api/")


def method_caller(
    bellhop: Bellhop, *scopes: Scope, team_id: str = ACME, **more: Any
) -> MethodCaller:
    """Create a key with `scopes` (default: send and read) and return its program."""
    put_bot(bellhop, team_id)
    key = bellhop.services.api_keys.create(
        team_id, "tests", scopes=scopes or (Scope.SEND, Scope.READ), **more
    )
    return MethodCaller(bellhop.url, key)
