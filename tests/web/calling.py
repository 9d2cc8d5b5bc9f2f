"""Calls of the HTTP API, as a program makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPMessage
from io import BytesIO
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from slack_sdk.oauth.installation_store import Bot
from werkzeug.datastructures import Headers
from werkzeug.test import create_environ, run_wsgi_app

from bolt_app.credentials.api_keys import DEFAULT_SCOPES, Scope
from tests.people import ACME
from tests.running import Bellhop, Page

NOTIFICATIONS, WEBHOOKS = "/api/v1/notifications", "/api/v1/webhooks"


class LateBody(BytesIO):
    """The body of a slow client: something happens before the app gets the first byte."""

    def __init__(self, data: bytes, before: Callable[[], object]) -> None:
        super().__init__(data)
        self._before: Callable[[], object] | None = before

    def read(self, size: int | None = -1, /) -> bytes:
        """Return bytes, once it has happened."""
        self._wait()
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, once it has happened."""
        self._wait()
        return super().readinto(buffer)

    def _wait(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before()


@dataclass(frozen=True)
class Caller:
    """A client with an API key."""

    url: str
    key: str

    def send(self, body: Any, **headers: str) -> Page:
        """POST a notification."""
        return self.call("POST", NOTIFICATIONS, body, **headers)

    def get(self, path: str) -> Page:
        """GET a path of the API."""
        return self.call("GET", path)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Page:
        """Make a call; `Idempotency_Key="x"` is the header `Idempotency-Key: x`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return request(
            method,
            self.url + path,
            data,
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | given,
        )


def request(
    method: str, url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Page:
    """Make any request."""
    made = Request(url, data=data, headers=dict(headers or {}), method=method)  # noqa: S310
    try:
        answer = urlopen(made, timeout=20)  # noqa: S310
    except HTTPError as error:
        answer = error
    with answer:
        return Page(url, answer.status, answer.headers, answer.read().decode())


def call_app(
    bellhop: Bellhop,
    method: str,
    url: str,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    before_body: Callable[[], object] | None = None,
) -> Page:
    """Make any request to the app without a server, which takes half of the time of a sweep.

    Args:
        url: of the app, or its path.
        before_body: what happens while the app waits for the body.
    """
    sent = Headers(dict(headers or {}))
    if data is not None:
        # As urllib does.
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    parts = urlsplit(url)
    environ = create_environ("/", bellhop.url, method=method, headers=sent, data=data)
    # As servers do, which leave the path as it is.
    environ["PATH_INFO"] = unquote(parts.path).encode().decode("latin-1")
    environ["QUERY_STRING"] = parts.query
    environ["REQUEST_URI"] = environ["RAW_URI"] = url.removeprefix(bellhop.url)
    environ["REMOTE_ADDR"] = "127.0.0.1"
    if before_body is not None:
        environ["wsgi.input"] = LateBody(data or b"", before_body)
    body, status, fields = run_wsgi_app(bellhop.app, environ, buffered=True)
    received = HTTPMessage()
    for name, value in fields:
        received[name] = value
    return Page(url, int(status.split()[0]), received, b"".join(body).decode())


def caller(
    bellhop: Bellhop,
    *scopes: Scope,
    team_id: str = ACME,
    channels: Sequence[str] = (),
    **more: Any,
) -> Caller:
    """Create a key with `scopes` (default: send and read) and return its client."""
    put_bot(bellhop, team_id)
    key = bellhop.services.api_keys.create(
        team_id, "tests", scopes=scopes or DEFAULT_SCOPES, channels=channels, **more
    )
    return Caller(bellhop.url, key)


def put_bot(bellhop: Bellhop, team_id: str = ACME) -> None:
    """Install the bot in a workspace, with a token that Slack does not know."""
    store = bellhop.services.store
    if bellhop.services.installations.find_workspace(team_id) is None:
        bot = Bot(
            bot_token="xoxb-unknown",
            bot_id="B0TESTS001",
            bot_user_id="U0TESTS001",
            bot_scopes=["chat:write"],
            team_id=team_id,
            installed_at=bellhop.clock.timestamp(),
        )
        store.save_bot(bot)
