"""An HTTP client that neither raises for a status nor follows redirects."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    verb: str | None = None,
) -> HttpResponse:
    """Request ``url``: GET, POST if there is a ``body``, or ``verb``."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request(
            verb or ("GET" if body is None else "POST"), path, body, dict(headers or {})
        )
        answer = connection.getresponse()
        return HttpResponse(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def post_json(url: str, value: Any, *, verb: str = "POST") -> HttpResponse:
    """Request ``url`` with a JSON body."""
    body = json.dumps(value).encode()
    return request(url, body, {"Content-Type": "application/json"}, verb=verb)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
