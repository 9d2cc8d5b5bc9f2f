"""A fake Web API over HTTP: a test sets its answers, and reads its requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Answer = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One call: the method, its arguments and its token."""

    method: str
    arguments: dict[str, str]
    token: str | None


@dataclass
class FakeSlack:
    """Answers each method with the next of its answers; the last one is repeated."""

    url: str
    requests: list[Request] = field(default_factory=list)
    _answers: dict[str, list[Answer | Callable[[], Answer]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answers(self, method: str, *answers: Answer | Callable[[], Answer]) -> None:
        """Set the answers of `method`; a function is called while the caller waits."""
        self._answers[method] = list(answers)

    def calls(self, method: str) -> list[Request]:
        """Return the calls of `method` so far."""
        return [request for request in self.requests if request.method == method]

    def answer(self, request: Request) -> Answer:
        """Record `request` and return its answer."""
        with self._lock:
            self.requests.append(request)
            scripted = self._answers.get(request.method, [{"ok": False, "error": "unknown_method"}])
            answer = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        return answer() if callable(answer) else answer


def refreshed(number: int = 2, *, kind: str = "bot", expires_in: int = 43_200) -> Answer:
    """Return the answer of `oauth.v2.access` to a refresh token."""
    letter = {"bot": "b", "user": "p"}[kind]
    return {
        "ok": True,
        "access_token": f"xoxe.xox{letter}-1-{number}",
        "refresh_token": f"xoxe-1-{kind}-{number}",
        "expires_in": expires_in,
        "token_type": kind,
    }


def refused(error: str) -> Answer:
    """Return an error answer of Slack."""
    return {"ok": False, "error": error}


@contextmanager
def fake_slack() -> Iterator[FakeSlack]:
    """Serve a `FakeSlack` on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if "json" in self.headers.get("Content-Type", ""):
                arguments = json.loads(body or "{}")
            else:
                arguments = dict(parse_qsl(body, keep_blank_values=True))
            _, _, token = self.headers.get("Authorization", "").partition("Bearer ")
            method = self.path.rpartition("/")[2]
            answer = json.dumps(slack.answer(Request(method, arguments, token or None))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    slack = FakeSlack(f"http://127.0.0.1:{server.server_port}/api/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
