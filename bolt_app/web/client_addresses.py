"""Client addresses of requests: the peer's, or the one that trusted proxies report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, request

from bolt_app.client_address import TrustedProxies, find_client_address, set_client_address
from bolt_app.config import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Slack calls this URL on behalf of people and does not send their addresses.
SLACK_EVENTS_PATH = "/slack/events"


class ForwardedAddress:
    """WSGI middleware that sets `REMOTE_ADDR` to the client's address."""

    def __init__(self, app: WSGIApplication, trusted: TrustedProxies) -> None:
        self._app = app
        self._trusted = trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on."""
        environ["REMOTE_ADDR"] = find_client_address(
            environ.get("REMOTE_ADDR") or "",
            [environ.get("HTTP_X_FORWARDED_FOR") or ""],
            self._trusted,
        )
        return self._app(environ, start_response)


def register_client_addresses(app: Flask, settings: Settings) -> None:
    """Set the client's address for `request.remote_addr` and the audit log."""
    if settings.trusted_proxies:
        app.wsgi_app = ForwardedAddress(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]

    @app.before_request
    def remember() -> None:
        from_slack = request.path == SLACK_EVENTS_PATH
        set_client_address(None if from_slack else request.remote_addr or None)
