"""Signed requests as bytes, for requests that the local Slack never sends."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Response

from slack_sandbox.deliveries import signature_headers
from tests.people import ACME, ANN, GENERAL
from tests.running import SIGNING_SECRET, Bellhop

EVENTS = "/slack/events"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    """A response of `/slack/events`."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Bystander:
    """A server that must not be called; it can redirect elsewhere.

    Attributes:
        calls: the paths that were called nevertheless.
        leads_to: the path of this server to which it redirects.
    """

    url: str = ""
    leads_to: str | None = None
    calls: list[str] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        self.calls.append(environ["PATH_INFO"])
        if self.leads_to is None:
            return Response("ok")(environ, start_response)
        location = {"Location": f"{self.url}{self.leads_to}"}
        return Response(status=302, headers=location)(environ, start_response)


def command_body(command: str = "/profile", text: str = "", **fields: str) -> bytes:
    """Return the form of a slash command that Ann types in #general."""
    return urlencode(
        {
            "command": command,
            "text": text,
            "team_id": ACME,
            "user_id": ANN,
            "channel_id": GENERAL,
            "trigger_id": "1.2.3",
            **fields,
        }
    ).encode()


def interaction_body(payload: Any) -> bytes:
    """Return the form of an interaction."""
    return urlencode({"payload": json.dumps(payload)}).encode()


def signed(bellhop: Bellhop, body: bytes, *, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """Return the headers that Slack would send with `body` now."""
    return signature_headers(body, secret, bellhop.clock.timestamp()) | {"Content-Type": FORM}


def post_signed(bellhop: Bellhop, body: bytes) -> Answer:
    """POST a body that Slack has signed."""
    return post(bellhop, body, list(signed(bellhop, body).items()))


def post(bellhop: Bellhop, body: bytes, headers: Sequence[tuple[str, str]]) -> Answer:
    """POST any body with any headers, which may be repeated."""
    parts = urlsplit(bellhop.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    try:
        connection.putrequest("POST", EVENTS)
        connection.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()
