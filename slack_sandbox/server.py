"""The sandbox over HTTP: a threaded server with a clean start and stop."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from flask import Flask, Response, request

from slack_sandbox.client import create_client_blueprint
from slack_sandbox.config import AppConfig
from slack_sandbox.control import create_control
from slack_sandbox.errors import ApiError, NotFoundError
from slack_sandbox.http_server import KeepAliveServer
from slack_sandbox.pages import create_pages
from slack_sandbox.responses import parsed_body, use_response_url
from slack_sandbox.sandbox import Sandbox
from slack_sandbox.uploads import UPLOAD_PATH, UploadError, receive
from slack_sandbox.web_api.dispatch import (
    FORM_TYPES,
    ApiAnswer,
    ApiRequest,
    apply_faults,
    dispatch,
    replace_response,
)

_SENDERS = 4
"""Threads that send events, so that one slow response does not delay the others."""


def create_sandbox_app(sandbox: Sandbox) -> Flask:
    """The WSGI application of a sandbox."""
    app = Flask(__name__, static_url_path="/sandbox/static", static_folder="static")
    app.before_request(_read_body)
    app.register_blueprint(create_pages(sandbox))
    app.register_blueprint(create_control(sandbox))
    app.register_blueprint(create_client_blueprint(sandbox))

    @app.route("/api/<method>", methods=["GET", "POST"])
    def web_api(method: str) -> Response:
        api_request = ApiRequest(
            request.method,
            request.headers.get("Content-Type", ""),
            request.headers.get("Authorization", ""),
            request.args.to_dict(),
            request.form.to_dict() if request.mimetype in FORM_TYPES else {},
            request.get_data(),
        )
        return _as_response(dispatch(sandbox, method, api_request))

    @app.post(f"{UPLOAD_PATH}<ticket>")
    def upload(ticket: str) -> Response:
        return _upload(sandbox, ticket)

    @app.get("/files/<user_id>/<file_id>")
    def file(user_id: str, file_id: str) -> Response:
        found = sandbox.files.get(file_id)
        if found is None or found.user_id != user_id or not found.is_complete:
            return Response("no such file", 404)
        headers = {"Content-Disposition": "attachment"}
        return Response(found.data, headers=headers, mimetype="application/octet-stream")

    @app.post("/hooks/<path:path>")
    def response_url(path: str) -> Response:
        return _response_url(sandbox, path)

    return app


def _read_body() -> None:
    """Read the whole body: the next request on the connection starts after it."""
    request.get_data()


def _response_url(sandbox: Sandbox, path: str) -> Response:
    faults = sandbox.faults.take("response_url")
    instead = apply_faults(sandbox, faults)
    if instead is not None:
        return _as_response(instead)
    try:
        body = parsed_body(request.get_data(), request.content_type or "")
        use_response_url(sandbox, path, body)
    except NotFoundError:
        return _as_response(ApiAnswer(404, {"ok": False, "error": "no_service"}))
    except ApiError as error:
        status = 404 if error.error in ("used_url", "expired_url") else 400
        return _as_response(ApiAnswer(status, error.as_answer()))
    answer = replace_response(faults, ApiAnswer(200, None, html="ok"))
    return Response("ok", content_type="text/html") if answer.html else _as_response(answer)


def _upload(sandbox: Sandbox, ticket: str) -> Response:
    faults = sandbox.faults.take("upload")
    instead = apply_faults(sandbox, faults)
    if instead is not None:
        return _as_response(instead)
    data = request.get_data()
    if request.mimetype == "multipart/form-data":
        data = b"".join(part.read() for part in request.files.values())
    try:
        receive(sandbox, ticket, data)
    except UploadError as error:
        return Response(str(error), error.status, content_type="text/plain")
    return _as_response(replace_response(faults, ApiAnswer(200, None, html=f"OK - {len(data)}")))


def _as_response(result: ApiAnswer) -> Response:
    if result.dropped:
        return _dropped(is_reset=result.dropped == "reset")
    if result.html is not None:
        return Response(result.html, result.status, content_type="text/html; charset=utf-8")
    body = json.dumps(result.body, ensure_ascii=False)
    return Response(
        body, result.status, result.headers, content_type="application/json; charset=utf-8"
    )


def _dropped(*, is_reset: bool) -> Response:
    """Close the connection. WSGI requires a response, which nobody receives."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    if is_reset:
        # A linger time of zero makes close() send RST. The objects that still hold the socket
        # keep a detached one.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
    else:
        with suppress(OSError):  # closed by the client
            connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500)


class SandboxServer:
    """A sandbox that listens on its own port.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. ``port`` 0 selects a free
    port, available in :attr:`url`. ``clock`` controls due times, expiry and rate limits. With
    ``tls`` the server speaks HTTPS. Raises OSError if the port is in use.
    """

    def __init__(
        self,
        config: AppConfig,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sandbox = Sandbox(config, clock)
        self._server = KeepAliveServer(host, port, create_sandbox_app(self.sandbox), tls)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if tls is None else 'https'}://{shown}:{self._server.port}"
        self.sandbox.base_url = self.url
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def connections(self) -> int:
        """Number of connections opened so far."""
        return self._server.connections

    def start(self) -> SandboxServer:
        """Start responding to requests and sending events."""
        targets: list[Callable[[], None]] = [self._answer, *[self._send] * _SENDERS]
        for target in targets:
            thread = threading.Thread(target=target, name="sandbox", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Close all connections and wait for the threads."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.sandbox.close()
        self.sandbox.events.wake()
        if self._threads:
            self._server.shutdown()
        self.sandbox.faults.clear()
        self._server.close_all()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answer(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def _send(self) -> None:
        self.sandbox.events.serve(self._stopping)
