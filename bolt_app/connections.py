"""WSGI applications around Bellhop's: closed connections, and threads that are limited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from bolt_app.thread_limit import SlackWaits


def close_connections(application: WSGIApplication) -> WSGIApplication:
    """Return the application with support for `Connection: close` in its responses.

    gunicorn ignores it in an application's headers: it keeps the connection, and reads the body of
    a request that the application rejected without reading it.
    """

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if any(_closes(name, value) for name, value in headers):
                # This is a method of gunicorn's response; other servers read the header.
                response = getattr(start_response, "__self__", None)
                force_close = getattr(response, "force_close", None)
                if force_close is not None:
                    force_close()
            return start_response(status, headers, *exc_info)

        return application(environ, start)

    return serve


def serve_in_web_threads(application: WSGIApplication, waits: SlackWaits) -> WSGIApplication:
    """Return the application, whose threads are limited in waiting for Slack."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with waits.serving():
            return application(environ, start_response)

    return serve


def _closes(name: str, value: str) -> bool:
    return name.lower() == "connection" and value.lower() == "close"
