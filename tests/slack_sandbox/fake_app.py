"""An HTTP app that records requests and returns configured responses."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from slack_sdk.signature import Clock, SignatureVerifier

SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


@dataclass(frozen=True)
class Received:
    """A recorded request."""

    path: str
    headers: dict[str, str]
    body: str

    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return {name: values[0] for name, values in parse_qs(self.body, True).items()}

    def payload(self) -> Any:
        """The JSON of an event or interaction."""
        if self.headers["content-type"] == "application/json":
            return json.loads(self.body)
        return json.loads(self.form()["payload"])

    def is_signed(self, at: float) -> bool:
        """Whether the request has a valid Slack signature at the time ``at``."""
        clock = Clock()
        clock.now = lambda: at  # type: ignore[method-assign]
        verifier = SignatureVerifier(SIGNING_SECRET, clock)
        return verifier.is_valid_request(self.body, dict(self.headers))


@dataclass(frozen=True)
class Answer:
    """A response of the app."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any) -> Answer:
    """A JSON response."""
    return Answer(200, json.dumps(value), "application/json; charset=utf-8")


class FakeApp:
    """Listens on a free loopback port; ``answer`` returns the response to each request."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer] = lambda received: Answer()
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.path, headers, self.rfile.read(size).decode())
                app.received.append(received)
                answer = app.answer(received)
                # The sandbox closes the connection after its timeout.
                with contextlib.suppress(ConnectionError):
                    self._respond(answer)

            def _respond(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body.encode())

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def last_request(self) -> Received:
        """The latest command or interaction, ignoring later events."""
        forms = [
            received
            for received in list(self.received)
            if "json" not in received.headers["content-type"]
        ]
        return forms[-1]

    def stop(self) -> None:
        """Stop and close."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The inner events received, of one type or all."""
        inner = [
            received.payload()["event"]
            for received in self.received
            if received.headers["content-type"] == "application/json"
        ]
        return [event for event in inner if kind in (None, event["type"])]
